//! `fake.name()` and its relatives: made-up people, places and texts, drawn from the user's random stream.

use super::Random;
use fake::Fake as _;
use fake::faker::{address, company, internet, job, lorem, name, phone_number};
use fake::locales::EN;
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};
use std::sync::Arc;

/// Draws one text.
pub(super) type Draw = fn(&mut Random) -> String;

/// All of them, by name.
pub(super) const FAKES: &[(&str, Draw)] = &[
    ("building_number", |random| address::raw::BuildingNumber(EN).fake_with_rng(random)),
    ("buzzword", |random| company::raw::Buzzword(EN).fake_with_rng(random)),
    ("cell_phone", |random| phone_number::raw::CellNumber(EN).fake_with_rng(random)),
    ("city", |random| address::raw::CityName(EN).fake_with_rng(random)),
    ("company", |random| company::raw::CompanyName(EN).fake_with_rng(random)),
    ("country", |random| address::raw::CountryName(EN).fake_with_rng(random)),
    ("country_code", |random| address::raw::CountryCode(EN).fake_with_rng(random)),
    ("credit_card", credit_card),
    ("email", email),
    ("first_name", |random| name::raw::FirstName(EN).fake_with_rng(random)),
    ("industry", |random| company::raw::Industry(EN).fake_with_rng(random)),
    ("ipv4", |random| internet::raw::IPv4(EN).fake_with_rng(random)),
    ("ipv6", |random| internet::raw::IPv6(EN).fake_with_rng(random)),
    ("job", |random| job::raw::Title(EN).fake_with_rng(random)),
    ("last_name", |random| name::raw::LastName(EN).fake_with_rng(random)),
    ("latitude", |random| address::raw::Latitude(EN).fake_with_rng(random)),
    ("longitude", |random| address::raw::Longitude(EN).fake_with_rng(random)),
    ("mac_address", |random| internet::raw::MACAddress(EN).fake_with_rng(random)),
    ("name", |random| name::raw::Name(EN).fake_with_rng(random)),
    ("paragraph", |random| lorem::raw::Paragraph(EN, 3..6).fake_with_rng(random)),
    ("password", |random| internet::raw::Password(EN, 12..17).fake_with_rng(random)),
    ("phone", |random| phone_number::raw::PhoneNumber(EN).fake_with_rng(random)),
    ("sentence", |random| lorem::raw::Sentence(EN, 5..11).fake_with_rng(random)),
    ("state", |random| address::raw::StateName(EN).fake_with_rng(random)),
    ("street", street),
    ("user_agent", |random| internet::raw::UserAgent(EN).fake_with_rng(random)),
    ("user_name", user_name),
    ("word", |random| lorem::raw::Word(EN).fake_with_rng(random)),
    ("zip_code", |random| address::raw::ZipCode(EN).fake_with_rng(random)),
];

/// The one of that name.
pub(super) fn find(name: &str) -> Option<Draw> {
    FAKES.iter().find(|(known, _)| *known == name).map(|(_, draw)| *draw)
}

/// With a number, so that users who sign up seldom meet.
fn user_name(random: &mut Random) -> String {
    let first: &str = name::raw::FirstName(EN).fake_with_rng(random);
    let last: &str = name::raw::LastName(EN).fake_with_rng(random);
    let simple = |name: &str| name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
    format!("{}.{}{}", simple(first), simple(last), random.below(10_000))
}

/// In a domain that is reserved for examples (RFC 2606): mail that a target sends reaches nobody.
fn email(random: &mut Random) -> String {
    let user = user_name(random);
    let domain = ["com", "net", "org"][random.below(3) as usize];
    format!("{user}@example.{domain}")
}

/// With a right check digit (Luhn), which `fake`'s own often lack.
fn credit_card(random: &mut Random) -> String {
    let (start, length) = [("4", 16), ("51", 16), ("55", 16), ("34", 15), ("37", 15)][random.below(5) as usize];
    let mut digits: Vec<u64> = start.bytes().map(|digit| u64::from(digit - b'0')).collect();
    digits.resize_with(length - 1, || random.below(10));
    // Every second digit, from the one before the check digit, counts twice.
    let twice = |(at, digit): (usize, &u64)| if at % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { *digit };
    let sum: u64 = digits.iter().rev().enumerate().map(twice).sum();
    digits.push((10 - sum % 10) % 10);
    digits.iter().map(u64::to_string).collect()
}

fn street(random: &mut Random) -> String {
    let street: String = address::raw::StreetName(EN).fake_with_rng(random);
    format!("{} {street}", random.between(1, 999))
}

/// The name `fake` in templates; it has only methods.
#[derive(Debug)]
pub(super) struct Fake;

impl Object for Fake {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        let draw = find(method).ok_or_else(|| Error::from(ErrorKind::UnknownMethod))?;
        if !arguments.is_empty() {
            return Err(Error::new(ErrorKind::TooManyArguments, format!("`fake.{method}` takes no arguments")));
        }
        Ok(Value::from(super::engine::with_random(draw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_draws_repeat() {
        assert!(FAKES.is_sorted_by(|a, b| a.0 < b.0));
        for (name, draw) in FAKES {
            let (mut one, mut two) = (Random::new(5, 5), Random::new(5, 5));
            let drawn: Vec<String> = (0..20).map(|_| draw(&mut one)).collect();
            assert_eq!(drawn, (0..20).map(|_| draw(&mut two)).collect::<Vec<_>>(), "{name}");
            assert!(drawn.iter().all(|text| !text.is_empty() && !text.contains(['{', '}', '#'])), "{name}: {drawn:?}");
            assert!(drawn.iter().any(|text| *text != drawn[0]), "{name} is always {}", drawn[0]);
        }
    }

    #[test]
    fn their_forms() {
        let mut random = Random::new(1, 2);
        for _ in 0..200 {
            let email = email(&mut random);
            let (user, domain) = email.split_once('@').unwrap();
            assert!(user.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'), "{email}");
            assert!(["example.com", "example.net", "example.org"].contains(&domain), "{email}");
            let ipv4 = find("ipv4").unwrap()(&mut random);
            assert!(ipv4.parse::<std::net::Ipv4Addr>().is_ok(), "{ipv4}");
            let password = find("password").unwrap()(&mut random);
            assert!((12..17).contains(&password.chars().count()), "{password}");
            let card = find("credit_card").unwrap()(&mut random);
            assert!(card.chars().all(|c| c.is_ascii_digit()) && luhn(&card), "{card}");
        }
    }

    fn luhn(card: &str) -> bool {
        let digits = card.bytes().rev().map(|b| u32::from(b - b'0')).enumerate();
        digits.map(|(at, d)| if at % 2 == 0 { d } else { d * 2 / 10 + d * 2 % 10 }).sum::<u32>() % 10 == 0
    }
}
