//! Setup and teardown: the steps of one user, on a thread of their own.
//!
//! ```text
//!  run ──steps──▶ thread: event loop, one user ──outcome──▶ run
//!   └ does not wait any longer: the user is cut off; a thread that is busy even then is left behind
//! ```
//!
//! On the thread that listens to signals, a slow page or template would keep a second signal from being heard.

use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

use super::lifecycle::Handle;
use super::supervisor::{Options, RunFacts};
use super::timer::Timer;
use super::user::User;
use super::worker::Context;
use crate::clock;
use crate::http::Client;
use crate::load::Part;
use crate::measure::catalog::UserId;
use crate::measure::shard::Shard;
use crate::scenario::plan::{Plan, Step};
use crate::template::Value;
use crate::threads;

/// Which steps of a plan are done before its users come, and after they have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    Setup,
    Teardown,
}

/// What setup or teardown came to.
#[derive(Clone, Debug)]
pub struct Performed {
    pub good: bool,
    /// The variables of its one user.
    pub variables: Value,
    /// What went wrong in steps that are no requests.
    pub mishaps: Vec<String>,
}

/// Does the steps of setup or teardown as one user and records them in `shard`. Dropped before they are done, it cuts them off.
pub async fn perform(
    plan: &Arc<Plan>,
    client: &Client,
    options: &Options,
    shard: &Arc<Mutex<Shard>>,
    around: Around,
) -> Performed {
    if around.steps(plan).is_empty() {
        return Performed { variables: options.setup.clone(), ..Performed::default() };
    }
    let (plan, client, options, shard) = (plan.clone(), client.clone(), options.clone(), shard.clone());
    let (done, outcome) = oneshot::channel();
    let body = move || {
        let performed = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let mut done = done;
                let performed = runtime.block_on(async {
                    tokio::select! {
                        performed = on_this_thread(&plan, &client, &options, &shard, around) => performed,
                        () = done.closed() => Performed::failed("it was cut off"),
                    }
                });
                // A name that is being looked up is not waited for.
                runtime.shutdown_background();
                let _ = done.send(performed);
                return;
            }
            Err(error) => Performed::failed(&format!("there is no event loop for it: {error}")),
        };
        let _ = done.send(performed);
    };
    match threads::start(around.name(), body) {
        Ok(_) => outcome.await.unwrap_or_else(|_| Performed::failed("it broke down; this is a defect of otload")),
        Err(error) => Performed::failed(&error.to_string()),
    }
}

async fn on_this_thread(
    plan: &Arc<Plan>,
    client: &Client,
    options: &Options,
    shard: &Arc<Mutex<Shard>>,
    around: Around,
) -> Performed {
    let due = clock::now();
    let run = Arc::new(RunFacts::new(plan, options, due));
    let client = (client.clone(), options.tracing.clone());
    let context = Rc::new(Context::new(plan.clone(), run, client, shard.clone(), Part::WHOLE, Timer::new()));
    // A number that no slot has, so that its random stream is its own.
    let mut user = User::new(context.clone(), Handle::detached(UserId(0)), 0, u32::MAX, due);
    let good = within(&context.timer, user.steps(around.steps(plan))).await;
    Performed { good, variables: user.scope.variables(), mishaps: context.run.mishaps() }
}

/// The timer runs only as long as the steps do.
async fn within(timer: &Timer, steps: impl Future<Output = bool>) -> bool {
    tokio::select! {
        good = steps => good,
        () = timer.drive() => false,
    }
}

// === Around ===

impl Around {
    fn steps(self, plan: &Plan) -> &[Step] {
        match self {
            Self::Setup => &plan.setup,
            Self::Teardown => &plan.teardown,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Teardown => "teardown",
        }
    }
}

// === Performed ===

impl Performed {
    fn failed(why: &str) -> Self {
        Self { good: false, mishaps: vec![why.to_owned()], ..Self::default() }
    }
}

impl Default for Performed {
    fn default() -> Self {
        Self { good: true, variables: Value::from(std::collections::BTreeMap::<String, Value>::new()), mishaps: Vec::new() }
    }
}
