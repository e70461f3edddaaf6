//! The tests that run the real binary, alone and beside other real programs. One binary, so that it is linked once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by failing, helpers included")]

mod action;
mod alerts;
mod architecture;
mod bad_collectors;
mod bad_targets;
mod baseline;
mod compose;
mod control;
mod dashboards;
mod endings;
mod examples;
mod exemplars;
mod flask;
mod html;
mod intervals;
mod kit;
mod kubernetes;
mod open;
mod otlp;
mod push;
mod receivers;
mod reports;
mod rules;
mod scenarios;
mod serve;
mod servers;
mod soak;
mod stack;
mod thresholds;
mod traces;
mod truth;
mod users;
mod validity;
mod view;
mod where_time_goes;
