//! An HTML page out of a response, parsed in pieces so that its parsing can be stopped.
//!
//! A parser of HTML looks at all elements that are open for each tag, so a page of nothing but `<div>` takes time in proportion to
//! its length squared; and a tag of three bytes becomes a node of some hundred.

use html5ever::driver;
use html5ever::tendril::{StrTendril, TendrilSink};
use scraper::{ElementRef, Html, HtmlTreeSink, Node};

use super::budget::{Budget, Limit};

/// Parsed at one go, in bytes.
const PIECE: usize = 1024;

/// Browsers nest elements 512 deep at most. Selectors look at all ancestors of each element.
const DEEPEST: usize = 1000;

/// A node with its links to others, and what the list of nodes keeps in reserve.
const NODE: usize = 2 * (size_of::<Node>() + 6 * size_of::<usize>());

/// Parses a text as HTML, of which anything is some.
///
/// # Errors
/// It is nested too deep, or the budget has run out.
pub fn parse(text: &str, budget: &Budget<'_>) -> Result<Html, String> {
    let mut parser = driver::parse_document(HtmlTreeSink::new(Html::new_document()), driver::ParseOpts::default());
    let (mut rest, mut nodes) = (text, 0);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        parser.process(StrTendril::from_slice(piece));
        rest = after;
        let tree = &parser.tokenizer.sink.sink.0.borrow().tree;
        let more = tree.values().len().saturating_sub(nodes);
        nodes += more;
        // Both are asked, so that each of them is noted.
        let (fits, in_time) = (budget.take(more * NODE + piece.len()), budget.has_time());
        if !fits || !in_time {
            budget.check()?;
        }
        if tree.nodes().next_back().is_some_and(|last| last.ancestors().nth(DEEPEST).is_some()) {
            budget.exceed(Limit::Depth(DEEPEST));
            budget.check()?;
        }
    }
    Ok(parser.finish())
}

/// What a selector finds, as long as there is time: it may look at all siblings, or at all that is within, for each element.
pub(super) fn select<'a>(
    page: &'a Html,
    selector: &'a scraper::Selector,
    slow: bool,
    budget: &'a Budget<'_>,
) -> Box<dyn Iterator<Item = ElementRef<'a>> + 'a> {
    if !slow {
        return Box::new(page.select(selector).take_while(|_| budget.has_time_for_short()));
    }
    let elements = page.tree.nodes().take_while(|_| budget.has_time()).filter_map(ElementRef::wrap);
    Box::new(elements.filter(|element| element.parent().is_some() && selector.matches(element)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_in_pieces_is_the_page() {
        for text in ["".to_owned(), "<p>é".repeat(2000), format!("<table>{}", "<tr><td a='ü\"'>x</td></tr>".repeat(300))] {
            assert_eq!(parse(&text, &Budget::default()).unwrap(), Html::parse_document(&text));
        }
    }

    #[test]
    fn what_is_deep_or_huge_is_stopped() {
        let error = |text: &str| {
            let budget = Budget::default();
            (parse(text, &budget).unwrap_err(), budget.exceeded())
        };
        let began = crate::clock::now();
        for tag in ["<div>", "<b><p>", "<table><tr><td>", "<svg>"] {
            let (message, _) = error(&tag.repeat(200_000));
            assert!(
                message.starts_with("the page nests elements more than") || message.starts_with("to look into"),
                "{tag}: {message}"
            );
        }
        assert!(error(&"<br>".repeat(400_000)).1.is_some(), "wide");
        assert!(matches!(error(&"<i>x</i>".repeat(400_000)).1, Some(Limit::Memory | Limit::Time)));
        assert!(began.elapsed().as_secs() < 30);
    }

    #[test]
    fn a_selector_that_looks_at_all_siblings_is_stopped() {
        let page = parse(&"<p></p>".repeat(20_000), &Budget::default()).unwrap();
        let selector = scraper::Selector::parse("h1 ~ p").unwrap();
        let budget = Budget::default();
        let began = crate::clock::now();
        assert_eq!(select(&page, &selector, true, &budget).count(), 0);
        assert!(began.elapsed().as_secs() < 10 && budget.exceeded() != Some(Limit::Memory));
    }
}
