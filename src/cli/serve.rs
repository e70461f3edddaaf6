//! `otload serve`: a daemon that waits.

use std::thread::available_parallelism;

use super::args::ServeArgs;
use super::{Exit, colour, environment, refuse, token};
use crate::console;
use crate::run::{self, Failed, Serve};

pub(super) fn serve(args: ServeArgs) -> Exit {
    let token = match token(args.control_token_file.as_deref()) {
        Ok(token) => token,
        Err(problem) => return refuse(&Failed::Refused(problem)),
    };
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    let serve = Serve {
        folder: args.folder,
        config: args.config,
        listen: args.listen,
        token,
        out: args.out,
        workers: args.workers.unwrap_or(cores as u32),
        env: environment(),
        colour: colour(),
    };
    console::lose_patience();
    match run::serve(serve) {
        Ok(false) => Exit::Passed,
        Ok(true) => Exit::Interrupted,
        Err(failed) => refuse(&failed),
    }
}
