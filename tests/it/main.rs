//! The tests that run the real binary, alone and beside other real programs. One binary, so that it is linked once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by failing, helpers included")]
#![expect(clippy::print_stderr, reason = "what a test prints is for whoever runs it")]

mod action;
mod alerts;
mod architecture;
mod bad_collectors;
mod bad_targets;
mod baseline;
mod compose;
mod control;
mod dashboards;
mod data;
mod documents;
mod endings;
mod examples;
mod exemplars;
mod flask;
mod html;
mod httpbin;
mod intervals;
mod kit;
mod kubernetes;
mod language;
mod lost_output;
mod nginx;
mod open;
mod otlp;
mod phases;
mod proxy;
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
mod tls;
mod traces;
mod truth;
mod users;
mod validity;
mod view;
mod where_time_goes;
