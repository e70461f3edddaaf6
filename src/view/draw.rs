//! A frame of the live view, from a [`View`] and nothing else.
//!
//! ```text
//!  header       scenario, host · phase, elapsed, users, verdict
//!  sparklines   a line each at 24 rows, three from 45 rows on
//!  requests     what is left over; scrolls, its sum stays
//!  failures · thresholds · messages · keys
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Row as Cells, Sparkline, Table, Wrap};

use super::figures::{Tone, cells};
use super::{Second, View};
use crate::measure::snapshot::Phase;
use crate::report::{grouped, millis, printable};

/// What the view needs; in less it only says so.
const SMALLEST: (u16, u16) = (80, 24);
/// With so many rows, sparklines are three rows high.
const TALL: u16 = 45;
/// With so many columns, the table has all figures.
const WIDE: u16 = 130;
const LABEL: u16 = 22;

const KEYS: &str = " w/s users ±1   W/S ±10   p pause   ↑↓ PgUp PgDn scroll   ? help   q stop";
const HELP: &str = "\
w  s         one user more, one less (of an open load: an arrival a second)
W  S         ten
p            pause, and go on
q  Ctrl-C    stop: users end their tasks; again: end at once
↑  ↓         scroll the table of requests; also PgUp, PgDn, Home, End
?            this help; any key closes it

Response times are in milliseconds, since the end of the warm-up. The lines
above the table are of each second, the newest at the right.";

/// Draws all of it.
pub fn draw(view: &View, frame: &mut Frame) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!(
            "The live view needs {}×{}; this terminal has {}×{}.\nThe run goes on; q stops it.",
            SMALLEST.0, SMALLEST.1, area.width, area.height
        );
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let tall = area.height >= TALL;
    let failures = view.failures();
    let thresholds = view.thresholds();
    let most = if tall { 8 } else { 2 };
    let rows = |count: usize, most: usize| count.clamp(1, most) as u16;
    let [header, sparks, table, failed, judged, told, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(if tall { 15 } else { 5 }),
        Constraint::Fill(1),
        Constraint::Length(1 + rows(failures.len(), most)),
        Constraint::Length(if thresholds.is_empty() { 0 } else { rows(thresholds.len(), most - 1) }),
        Constraint::Length(1 + rows(view.messages.len(), most)),
        Constraint::Length(1),
    ])
    .areas(area);
    view.header(frame, header);
    view.sparks(frame, sparks);
    view.table(frame, table);
    let bad = view.style(Tone::Bad);
    let lines: Vec<_> = if failures.is_empty() {
        vec![Line::from("  none")]
    } else {
        shortened(failures, failed.height - 1, "reasons").into_iter().map(|line| Line::styled(line, bad)).collect()
    };
    pane(frame, failed, "Failures", lines);
    view.judged(frame, judged, thresholds);
    let skip = view.messages.len().saturating_sub(usize::from(told.height - 1));
    let lines = view.messages[skip..].iter().map(|line| Line::from(format!("  {}", printable(line)))).collect();
    pane(frame, told, "Messages", lines);
    frame.render_widget(Paragraph::new(KEYS).style(Style::new().add_modifier(Modifier::REVERSED)), keys);
    if view.help {
        help(frame, area);
    }
}

impl View {
    /// Without colours, what is bad is still bold.
    fn style(&self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => return Style::new(),
            Tone::Good => (Color::Green, Modifier::empty()),
            Tone::Odd => (Color::Yellow, Modifier::BOLD),
            Tone::Bad => (Color::Red, Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        if self.colour { style.fg(colour) } else { style }
    }

    fn header(&self, frame: &mut Frame, area: Rect) {
        let facts = &self.snapshot.facts;
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let host = if facts.run.host.is_empty() { String::new() } else { format!(" → {}", printable(&facts.run.host)) };
        let (verdict, tone) = self.verdict();
        let phase = if matches!(facts.phase, Phase::Paused | Phase::RampDown) { Tone::Odd } else { Tone::Plain };
        let all = &self.measured.all;
        let failed = if all.failures > 0 { Tone::Bad } else { Tone::Plain };
        let saturated = if facts.health.saturated { "   generator saturated" } else { "" };
        let first = Line::from(vec![
            Span::styled(format!(" {}{host}", printable(&facts.run.test)), bold),
            Span::raw(format!("   run {}", printable(&facts.run.run_id))),
        ]);
        let second = Line::from(vec![
            Span::styled(format!(" {:<9}", facts.phase.name()), self.style(phase)),
            Span::raw(format!("  {}  users {}  ", self.clock(), self.users())),
            Span::styled(format!("failures {} ({:.2}%)", grouped(all.failures), all.failure_ratio() * 100.0), self.style(failed)),
            Span::raw("  "),
            Span::styled(verdict, self.style(tone)),
            Span::styled(saturated, self.style(Tone::Odd)),
        ]);
        frame.render_widget(Paragraph::new(vec![first, second]), area);
    }

    fn sparks(&self, frame: &mut Frame, area: Rect) {
        type Of = fn(&Second) -> Option<f64>;
        let lines: [(&str, Of, Tone); 5] = [
            ("requests/s", |second| Some(second.rps), Tone::Plain),
            ("p50 ms", |second| second.times.map(|times| times[0]), Tone::Plain),
            ("p95 ms", |second| second.times.map(|times| times[1]), Tone::Plain),
            ("p99 ms", |second| second.times.map(|times| times[2]), Tone::Plain),
            ("failures/s", |second| Some(second.failures_per_second), Tone::Bad),
        ];
        let areas = Layout::vertical([Constraint::Fill(1); 5]).split(area);
        for ((name, of, tone), area) in lines.into_iter().zip(areas.iter()) {
            let [label, line] = Layout::horizontal([Constraint::Length(LABEL), Constraint::Fill(1)]).areas(*area);
            let skip = self.history.len().saturating_sub(usize::from(line.width));
            let seen: Vec<_> = self.history.iter().skip(skip).map(of).collect();
            let now = match seen.last().copied().flatten() {
                Some(seconds) if name.ends_with("ms") => millis(seconds),
                Some(rate) => format!("{rate:.1}"),
                None => "-".to_owned(),
            };
            let loud = tone == Tone::Bad && self.history.iter().any(|second| second.failures_per_second > 0.0);
            let style = if loud { self.style(Tone::Bad) } else { Style::new() };
            frame.render_widget(Paragraph::new(format!(" {name:<10} {now:>8}")).style(style), label);
            // Whole numbers are drawn: a microsecond, a thousandth of a request.
            let scale = if name.ends_with("ms") { 1e6 } else { 1e3 };
            let mut data: Vec<u64> = vec![0; usize::from(line.width).saturating_sub(seen.len())];
            data.extend(seen.iter().map(|value| (value.unwrap_or(0.0) * scale) as u64));
            frame.render_widget(Sparkline::default().data(data).style(style), line);
        }
    }

    fn table(&self, frame: &mut Frame, area: Rect) {
        let wide = area.width >= WIDE;
        let head: &[&str] = if wide {
            &["Type", "Name", "# reqs", "# fails", "Med", "95%", "99%", "Avg", "Min", "Max", "req/s", "failures/s"]
        } else {
            &["Type", "Name", "# reqs", "# fails", "Med", "95%", "99%", "req/s"]
        };
        let right = |text: String| Line::from(text).right_aligned();
        let mut rows: Vec<Cells> = Vec::new();
        for (method, name, row) in self.rows() {
            let texts = [Line::from(format!(" {method}")), Line::from(name)];
            let style = self.style(if row.failures > 0 { Tone::Bad } else { Tone::Plain });
            rows.push(Cells::new(texts.into_iter().chain(cells(row, wide).into_iter().map(right))).style(style));
        }
        // Head and sum are always there.
        let room = usize::from(area.height.saturating_sub(3)).max(1);
        let all = rows.len();
        let from = self.scroll.min(all.saturating_sub(room));
        let to = (from + room).min(all);
        let title = if all > room { format!("Requests {}–{to} of {all}", from + 1) } else { "Requests".to_owned() };
        let mut shown: Vec<Cells> = rows.drain(from..to).collect();
        let sum = [Line::default(), Line::from("Aggregated")].into_iter();
        let bold = Style::new().add_modifier(Modifier::BOLD);
        shown.push(Cells::new(sum.chain(cells(&self.measured.all, wide).into_iter().map(right))).style(bold));
        let mut widths = vec![Constraint::Length(8), Constraint::Fill(1)];
        widths.extend(head[2..].iter().map(|name| match *name {
            "# reqs" => Constraint::Length(10),
            "# fails" if wide => Constraint::Length(16),
            "# fails" | "req/s" => Constraint::Length(9),
            "failures/s" => Constraint::Length(11),
            _ => Constraint::Length(7),
        }));
        let head = head.iter().enumerate().map(|(at, name)| match at {
            0 => Line::from(format!(" {name}")),
            1 => Line::from(*name),
            _ => right((*name).to_owned()),
        });
        let underlined = Style::new().add_modifier(Modifier::UNDERLINED);
        let table = Table::new(shown, widths).header(Cells::new(head).style(underlined)).block(block(&title));
        frame.render_widget(table, area);
    }

    fn judged(&self, frame: &mut Frame, area: Rect, thresholds: Vec<(String, Tone)>) {
        let room = usize::from(area.height);
        let more = thresholds.len().saturating_sub(room);
        let lines = thresholds.into_iter().take(room).enumerate().map(|(at, (text, tone))| {
            let more = if more > 0 && at + 1 == room { format!("  (and {more} more)") } else { String::new() };
            Line::from(vec![Span::raw(" threshold "), Span::styled(text, self.style(tone)), Span::raw(more)])
        });
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
    }
}

/// As many lines as there is room for; the last one tells of those that are left out.
fn shortened(mut lines: Vec<String>, room: u16, what: &str) -> Vec<String> {
    let room = usize::from(room);
    let more = lines.len().saturating_sub(room);
    lines.truncate(room);
    if let Some(last) = lines.last_mut().filter(|_| more > 0) {
        *last = format!("{:>9}  more {what}", more + 1);
    }
    lines
}

fn block(title: &str) -> Block<'_> {
    Block::new().borders(Borders::TOP).title(format!(" {title} "))
}

fn pane(frame: &mut Frame, area: Rect, title: &str, lines: Vec<Line>) {
    frame.render_widget(Paragraph::new(lines).block(block(title)), area);
}

fn help(frame: &mut Frame, area: Rect) {
    let (width, height) = (78, HELP.lines().count() as u16 + 2);
    let within = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, within);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" Keys ")), within);
}
