//! The account as one page: no script, nothing from elsewhere, light and dark as the reader's system has it.

use std::fmt::Write as _;

use super::super::markup::{self, escape, link};
use super::super::millis;
use super::{Account, Means};

const STYLE: &str = include_str!("page.css");

/// All of it.
pub fn write(account: &Account) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let title = format!("Where did the time go: {}", escape(&account.test));
    let _ = write!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{}\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>Where did the time go?</h1>\n<p class=\"facts\">{}</p>\n",
        markup::STYLE,
        facts(account),
    );
    if let Some(all) = &account.all {
        out.push_str(&bars(account, all));
        out.push_str(&requests(account, all));
        out.push_str(&places(account));
        out.push_str(&each(account));
    }
    out.push_str(&absent(account));
    out.push_str("<section>\n<h2>To know</h2>\n<ul class=\"notes\">\n");
    account.notes.iter().for_each(|note| out.push_str(&format!("<li>{}</li>\n", escape(note))));
    out.push_str("</ul>\n</section>\n</main>\n</body>\n</html>\n");
    out
}

fn facts(account: &Account) -> String {
    let facts = [
        format!("<b>{}</b>", escape(&account.test)),
        format!("run <code>{}</code>", escape(&account.run_id)),
        escape(&account.started_at),
        format!("{} traced requests", account.each.len()),
        format!("traces of {}", escape(&account.store)),
    ];
    facts.join(" <span class=\"dot\">·</span> ")
}

// === sections ===

/// A stacked bar for each request; the slowest fills the width.
fn bars(account: &Account, all: &Means) -> String {
    let longest = account.requests.iter().map(|row| row.means.total).fold(all.total, f64::max);
    let mut out = String::from("<section>\n<ul class=\"legend\">\n");
    let everything = || account.requests.iter().map(|row| &row.means).chain([all]);
    let kinds = [
        ("generator", "Generator", "late before it started", true),
        ("hops", "Earlier hops", "redirects, sent again", account.has_hops()),
        ("network", "Network", "and queueing before the server's span", everything().any(|means| means.served > 0)),
        ("server", "Server", "its span", everything().any(|means| means.served > 0)),
        ("whole", "Not known", "no server span", all.unknown().is_some()),
    ];
    for (class, name, what, shown) in kinds {
        if shown {
            let _ = writeln!(out, "<li><i class=\"{class}\"></i>{name} <small>{what}</small></li>");
        }
    }
    out.push_str("</ul>\n<div class=\"bars\">\n");
    for row in &account.requests {
        let name = format!("<b>{}</b> {}", escape(&row.method), escape(&row.name));
        let _ = write!(out, "<div class=\"name\">{name}</div>\n{}", bar(&row.means, longest));
    }
    if account.requests.len() > 1 {
        let _ = write!(out, "<div class=\"name sum\">All of them</div>\n{}", bar(all, longest));
    }
    out.push_str("</div>\n</section>\n");
    out
}

fn bar(means: &Means, longest: f64) -> String {
    let of = |part: f64, whole: f64| if whole > 0.0 { (part / whole * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    let mut out = format!("<div class=\"track\"><div class=\"bar\" style=\"width:{:.2}%\">", of(means.total, longest) * 0.88);
    for (class, name, part) in [
        ("generator", "generator", means.generator),
        ("hops", "earlier hops", means.hops),
        ("network", "network", means.network),
        ("server", "server", means.server),
        ("whole", "no server span", means.unknown),
    ] {
        let share = of(part, means.total);
        if share >= 0.05 {
            let _ = write!(
                out,
                "<i class=\"{class}\" style=\"width:{share:.2}%\" title=\"{name}: {} ms, {share:.0}%\"></i>",
                millis(part)
            );
        }
    }
    let _ = writeln!(out, "</div><span class=\"ms\">{} ms</span></div>", millis(means.total));
    out
}

fn requests(account: &Account, all: &Means) -> String {
    let hops = account.has_hops();
    let head = format!(
        "<th>Request<th class=\"n\">Requests<th class=\"n\">Total<th class=\"n\">Generator{}<th class=\"n\">Network<th class=\"n\">Server\
         <th class=\"n\">No server span<th class=\"n\">Before<th class=\"n\">After",
        hops_head(hops),
    );
    let mut rows = String::new();
    let named =
        account.requests.iter().map(|row| (format!("<b>{}</b> {}", escape(&row.method), escape(&row.name)), &row.means, ""));
    for (name, means, class) in named.chain([("All of them".to_owned(), all, " class=\"sum\"")]) {
        let [network, server] = means.parts();
        let mut numbers = vec![means.count.to_string(), millis(means.total), share(Some(means.generator), means)];
        numbers.extend(hops.then(|| share(Some(means.hops), means)));
        numbers.extend([network, server, means.unknown()].map(|part| share(part, means)));
        numbers.extend([means.sides.map(|sides| sides.0), means.sides.map(|sides| sides.1)].map(time));
        let _ = writeln!(rows, "<tr{class}><td>{name}{}</tr>", cells(&numbers));
    }
    table(
        "By request",
        "Means in ms and their share of the total. Before and after: the network's part on either side of the server's span, where the \
         clocks allow.",
        &head,
        &rows,
    )
}

fn places(account: &Account) -> String {
    if account.places.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for place in &account.places {
        let percent = place.share * 100.0;
        let _ = writeln!(
            rows,
            "<tr><td>{}<td>{}{}<td class=\"n share\"><i style=\"width:{percent:.1}%\"></i><span>{percent:.1}%</span></tr>",
            escape(&place.service),
            escape(&place.span),
            cells(&[place.count.to_string(), millis(place.mean)]),
        );
    }
    let head = "<th>Service<th>Span<th class=\"n\">Spans<th class=\"n\">Self time<th class=\"n\">Share";
    let what = "Self time is a span's duration without its children's, in ms for each request that has a server span. What \
                runs in parallel counts for each.";
    table("In the servers", what, head, &rows)
}

fn each(account: &Account) -> String {
    let hops = account.has_hops();
    let head = format!(
        "<th>Request<th>Result<th class=\"n\">Total<th class=\"n\">Generator{}<th class=\"n\">Network<th class=\"n\">Server<th>Trace",
        hops_head(hops),
    );
    let mut rows = String::new();
    for one in &account.each {
        let means = &one.means;
        let [network, server] = means.parts();
        let server = server.map_or_else(|| "<em>no server span</em>".to_owned(), millis);
        let mut numbers = vec![millis(means.total), millis(means.generator)];
        numbers.extend(hops.then(|| millis(means.hops)));
        numbers.extend([time(network), server]);
        let _ = writeln!(
            rows,
            "<tr><td><b>{}</b> {}<td>{}{}<td>{}</tr>",
            escape(&one.method),
            escape(&one.name),
            escape(&one.result),
            cells(&numbers),
            link(&one.trace.to_string(), one.link.as_deref()),
        );
    }
    table("Each request", "Times in ms, the slowest first.", &head, &rows)
}

fn absent(account: &Account) -> String {
    if account.absent.is_empty() {
        return String::new();
    }
    let row = |absent: &super::Absent| {
        format!("<tr><td>{}<td>{}</tr>\n", link(&absent.trace.to_string(), absent.link.as_deref()), escape(&absent.why))
    };
    let rows: String = account.absent.iter().map(row).collect();
    table("Traces that are missing", "", "<th>Trace<th>Why", &rows)
}

// === parts ===

fn table(title: &str, what: &str, head: &str, rows: &str) -> String {
    let what = if what.is_empty() { String::new() } else { format!("<p>{what}</p>\n") };
    format!(
        "<section>\n<h2>{title}</h2>\n{what}<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n</section>\n"
    )
}

fn hops_head(hops: bool) -> &'static str {
    if hops { "<th class=\"n\">Earlier hops" } else { "" }
}

fn cells(numbers: &[String]) -> String {
    numbers.iter().map(|number| format!("<td class=\"n\">{number}")).collect()
}

fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), millis)
}

fn share(seconds: Option<f64>, means: &Means) -> String {
    let Some(seconds) = seconds else { return "–".to_owned() };
    let percent = if means.total > 0.0 { seconds / means.total * 100.0 } else { 0.0 };
    format!("{} <small>{percent:.0}%</small>", millis(seconds))
}
