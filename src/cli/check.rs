//! `otload check`: is the scenario right, and what would it do?

use super::args::CheckArgs;
use super::{Exit, plan, print, refuse};
use crate::run;
use crate::scenario;

/// Without `--seed`, so that two looks at one scenario show the same.
const SEED: u64 = 1;

pub(super) fn check(args: &CheckArgs) -> Exit {
    let Some((plan, _)) = plan(&args.scenario) else { return Exit::Wrong };
    let shown = print(&run::without_secrets(&plan, &scenario::describe(&plan)));
    if !args.once || shown != Exit::Passed {
        return shown;
    }
    let mut requests = 0usize;
    match run::once(&plan, args.demo, args.scenario.seed.unwrap_or(SEED), &mut |text| {
        requests += usize::from(text.contains("\n> "));
        print(text);
    }) {
        Ok(0) => print(&format!("\nall well: {requests} requests, none failed\n")),
        Ok(failed) => {
            print(&format!("\n{failed} of {requests} requests failed\n"));
            Exit::RunFailed
        }
        Err(failed) => refuse(&failed),
    }
}
