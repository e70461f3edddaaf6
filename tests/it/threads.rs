//! A limit of processes: whatever thread it refuses, the program says so, or does without it, and panics nowhere.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::Command;

use crate::kit::{CountingTarget, Delays};

#[test]
fn each_thread_that_is_refused_is_an_error_with_its_remedy() {
    let (dir, target) = (tempfile::tempdir().unwrap(), CountingTarget::start(Delays::none()));
    let file = |name: &str| dir.path().join(name);
    let open = |name: &str| std::fs::set_permissions(file(name), std::fs::Permissions::from_mode(0o777)).unwrap();
    let host = target.url().replace("127.0.0.1", "localhost");
    let scenario = format!(
        "host: {host}\nsetup: [{{get: /}}]\nteardown: [{{get: /}}]\nusers: [{{name: U, wait_time: 20ms, tasks: [{{get: /}}]}}]\n\
         load: {{users: 2, run_time: 200ms}}\nvalidity: {{max_generator_time: 1h, busy: 100%}}\n"
    );
    std::fs::write(file("s.yaml"), scenario).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_otload"), file("otload")).unwrap();
    ["", "s.yaml", "otload"].into_iter().for_each(open);
    // Limits count all processes of a user, and not those of root: so it is a user that nobody else is. Who is not root may have
    // many already, and gets no thread at all.
    let root = rustix::process::geteuid().is_root();
    let limits = if root { 1..=9 } else { 1..=1 };
    let mut codes = Vec::new();
    for limit in limits.clone() {
        let mut command = Command::new("bash");
        let run = "ulimit -u $0 && exec ./otload run s.yaml --workers 3 --listen 127.0.0.1:0 --linger 0s --out r$0";
        command.args(["-c", run, &limit.to_string()]).current_dir(dir.path());
        if root {
            let user = 0x4000_0000 + std::process::id();
            command.uid(user).gid(user);
        }
        let run = command.output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.signal(), None, "{limit}: {said}");
        let code = run.status.code().unwrap();
        assert!(!said.contains("panicked") && !said.contains("a defect"), "{limit}: {code}: {said}");
        assert!(code == 0 || said.contains("the system gives no thread") || code == 1, "{limit}: {code}: {said}");
        assert!(code != 4 && code != 2 || said.contains("`ulimit -u`"), "{limit}: {code}: {said}");
        codes.push(code);
    }
    assert_ne!(codes[0], 0, "{codes:?}");
    assert!(!root || codes.last() == Some(&0), "with enough of them it runs: {codes:?}");
    assert!(!root || codes.contains(&4), "{codes:?}");
}
