//! `stream`: a response that goes on.

use std::time::Duration;

use super::read::record;

record! {
    /// The response is a stream of server-sent events, which goes on until it is told to end. Checks and captures see the data of the
    /// last event as the body.
    struct StreamForm {
        /// An expression; the first event for which it is true ends the exchange, and closes the connection. It sees `event.data`,
        /// `event.json` (the data as JSON), `event.event`, `event.id`, and `events`, the number of events so far.
        until: String,
        /// For how long the stream is listened to, in place of `timeout`. With `until` the request has then failed with the reason
        /// `timeout`; without it, that is how a request ends that goes well.
        max_time: Duration,
    }
}
