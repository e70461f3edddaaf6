//! The account on a terminal.

use super::super::text::Table;
use super::super::{millis, printable};
use super::{Account, Means, One};

/// All of it.
pub fn write(account: &Account) -> String {
    let traces = account.each.len();
    let mut out = format!(
        "\nWhere did the time go · {} · run {} · {traces} traced {} · {}\n",
        printable(&account.test),
        printable(&account.run_id),
        if traces == 1 { "request" } else { "requests" },
        printable(&account.store),
    );
    if let Some(all) = &account.all {
        out.push_str(&requests(account, all));
        out.push_str(&places(account));
        out.push_str(&each(account));
    }
    if !account.absent.is_empty() {
        out.push_str("\nTraces that are missing\n");
        let mut table = Table::new("ll", &["Trace", "Why"]);
        let rows = account.absent.iter().map(|absent| {
            vec![absent.link.as_deref().map_or_else(|| absent.trace.to_string(), printable), printable(&absent.why)]
        });
        table.rows.extend(rows);
        out.push_str(&table.draw(false));
    }
    out.push('\n');
    account.notes.iter().for_each(|note| out.push_str(&format!("note: {}\n", printable(note))));
    out
}

fn requests(account: &Account, all: &Means) -> String {
    let (hops, unknown) = (account.has_hops(), all.unknown().is_some());
    let mut head = vec!["Type", "Name", "# reqs", "Total", "Generator"];
    head.extend(hops.then_some("Earlier hops"));
    head.extend(["Network", "Server"]);
    head.extend(unknown.then_some("no server span"));
    head.extend(["before", "after"]);
    let layout = match usize::from(hops) + usize::from(unknown) {
        0 => "llr|rrrr|rr",
        1 => "llr|rrrrr|rr",
        _ => "llr|rrrrrr|rr",
    };
    let mut table = Table::new(layout, &head);
    let rows = account.requests.iter().map(|row| (row.method.as_str(), row.name.as_str(), &row.means));
    for (method, name, means) in rows.chain([("", "Aggregated", all)]) {
        let mut cells = vec![printable(method), printable(name), means.count.to_string()];
        cells.extend(parts(means, hops));
        cells.extend(unknown.then(|| means.unknown().map_or_else(|| "-".to_owned(), |unknown| share(unknown, means))));
        cells.extend([time(means.sides.map(|sides| sides.0)), time(means.sides.map(|sides| sides.1))]);
        table.rows.push(cells);
    }
    let title = "Requests (means in ms and their share; before and after the server's span, where the clocks allow)";
    format!("\n{title}\n{}", table.draw(true))
}

fn places(account: &Account) -> String {
    if account.places.is_empty() {
        return String::new();
    }
    let mut table = Table::new("ll|rrr", &["Service", "Span", "# spans", "Self", "Share"]);
    for place in &account.places {
        table.rows.push(vec![
            printable(&place.service),
            printable(&place.span),
            place.count.to_string(),
            millis(place.mean),
            format!("{:.1}%", place.share * 100.0),
        ]);
    }
    format!(
        "\nIn the servers (self time: a span without its children; in ms for each request that has a server span)\n{}",
        table.draw(false)
    )
}

fn each(account: &Account) -> String {
    let hops = account.has_hops();
    let mut head = vec!["Type", "Name", "Result", "Total", "Generator"];
    head.extend(hops.then_some("Earlier hops"));
    head.extend(["Network", "Server", "Trace"]);
    let mut table = Table::new(if hops { "lll|rrrrr|l" } else { "lll|rrrr|l" }, &head);
    for One { method, name, result, trace, link, means } in &account.each {
        let mut cells = vec![printable(method), printable(name), printable(result)];
        let mut parts = parts(means, hops);
        if let (Some(_), Some(server)) = (means.unknown(), parts.last_mut()) {
            *server = "no server span".to_owned();
        }
        cells.extend(parts);
        cells.push(link.as_deref().map_or_else(|| trace.to_string(), printable));
        table.rows.push(cells);
    }
    format!("\nEach request (times in ms)\n{}", table.draw(false))
}

/// Total, generator, earlier hops, network and server.
fn parts(means: &Means, hops: bool) -> Vec<String> {
    let mut cells = vec![millis(means.total), share(means.generator, means)];
    cells.extend(hops.then(|| share(means.hops, means)));
    cells.extend(means.parts().map(|part| part.map_or_else(|| "-".to_owned(), |seconds| share(seconds, means))));
    cells
}

fn share(seconds: f64, means: &Means) -> String {
    let percent = if means.total > 0.0 { seconds / means.total * 100.0 } else { 0.0 };
    format!("{} {:>4}", millis(seconds), format!("{percent:.0}%"))
}

fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), millis)
}
