//! The collections in pages: `GET /cars?page=2` has three of them, and in `next` the number of the page after it, or `null`.

use axum::body::Bytes;

/// So many are on a page.
const LENGTH: usize = 3;

/// The page that a query asks for, as JSON; nothing if it asks for none. Pages count from 1; beyond the last one there is nothing.
pub(super) fn page(name: &str, each: &[Bytes], query: Option<&str>) -> Option<Bytes> {
    let number = url::form_urlencoded::parse(query?.as_bytes()).find(|(key, _)| key == "page")?.1.parse::<usize>().ok()?;
    let start = number.saturating_sub(1).saturating_mul(LENGTH).min(each.len());
    let end = (start + LENGTH).min(each.len());
    let mut json = format!(r#"{{"{name}":["#).into_bytes();
    for (at, one) in each[start..end].iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        json.extend_from_slice(one);
    }
    let next = if end < each.len() { (number.max(1) + 1).to_string() } else { "null".to_owned() };
    json.extend_from_slice(format!(r#"],"next":{next}}}"#).as_bytes());
    Some(json.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_end() {
        let each: Vec<Bytes> = (1..=7).map(|id| Bytes::from(format!("{{\"id\":{id}}}"))).collect();
        let of = |query: &str| page("cars", &each, Some(query)).map(|json| String::from_utf8(json.to_vec()).unwrap());
        assert_eq!(of("page=1").unwrap(), r#"{"cars":[{"id":1},{"id":2},{"id":3}],"next":2}"#);
        assert_eq!(of("x=1&page=3").unwrap(), r#"{"cars":[{"id":7}],"next":null}"#);
        assert_eq!(of("page=99").unwrap(), r#"{"cars":[],"next":null}"#);
        assert_eq!((of("page=x"), of("x=1"), page("cars", &each, None)), (None, None, None));
    }
}
