#!/usr/bin/env bash
# All tests, on a machine that has a Rust toolchain and apt: installs what is missing, then checks and tests everything.
#
#   bash tests/run.sh
#
# Installed are: Debian's packages `prometheus`, `prometheus-alertmanager`, `chromium`, `tmux`, `nginx`, `tinyproxy-bin` and `microsocks` (with apt-get, as root or through sudo);
# gunicorn, Flask with OpenTelemetry, httpbin, Caddy, rotel, hadolint and kubernetes-validate (into a virtual environment in the build folder);
# cargo-deny, otelite and some programs of Debian's later suite (into ~/.cache/otload-tools). What is there already is used again.
# The last line is `N passed, N failed`: the sum of all test binaries. The exit code is 0 only if every step went well.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

target=${CARGO_TARGET_DIR:-target}
tools=${XDG_CACHE_HOME:-$HOME/.cache}/otload-tools
deny_version=0.20.2
deny=$tools/cargo-deny-$deny_version/bin/cargo-deny
otelite_version=0.1.156
# Those of the example that the tests load, and those of the tests alone.
requirements=(examples/cars-api/requirements.txt examples/cars-api/requirements-traced.txt tests/requirements.txt)
mkdir -p "$target" || exit 1
target=$(cd "$target" && pwd)
logs=$target/test-logs
mkdir -p "$logs"
failed_steps=()

# step NAME COMMAND...: runs it, prints one line with the seconds it took, and its output only if it failed.
step() {
    local name=$1 log started=$SECONDS
    log=$logs/${name// /-}.log
    shift
    if "$@" >"$log" 2>&1 </dev/null; then
        printf 'ok      %4ds  %s\n' $((SECONDS - started)) "$name"
    else
        printf 'FAILED  %4ds  %s\n' $((SECONDS - started)) "$name"
        grep -vE '^ +(Compiling|Checking|Downloaded|Downloading) ' "$log" | tail -n 400 | sed 's/^/    /'
        failed_steps+=("$name")
        return 1
    fi
}

# --- what the tests need ---

missing_packages() {
    { command -v prometheus && command -v promtool; } >/dev/null || echo prometheus
    { command -v prometheus-alertmanager && command -v amtool; } >/dev/null || echo prometheus-alertmanager
    command -v chromium >/dev/null || echo chromium
    command -v python3 >/dev/null || echo python3
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
    command -v tmux >/dev/null || echo tmux
    # Its folder is not always among those that are looked through.
    { command -v nginx || [ -x /usr/sbin/nginx ]; } >/dev/null || echo nginx
    command -v tinyproxy >/dev/null || echo tinyproxy-bin
    command -v microsocks >/dev/null || echo microsocks
    command -v cc >/dev/null || echo gcc libc6-dev
}

install_packages() {
    local packages as_root=()
    read -ra packages <<<"$(missing_packages | tr '\n' ' ')"
    if [ ${#packages[@]} -eq 0 ]; then return 0; fi
    if ! command -v apt-get >/dev/null; then
        echo "there is no apt-get here; install by other means: ${packages[*]}"
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "this needs root once: run \`apt-get install -y --no-install-recommends ${packages[*]}\` as root, then this again"
            return 1
        fi
        # With a password to be asked for, it says so instead of waiting for one.
        as_root=(sudo -n)
    fi
    "${as_root[@]}" apt-get update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
}

# The environment is made anew when the requirements, the interpreter or its place have changed.
make_venv() {
    local wanted
    wanted=$(cat "${requirements[@]}" && python3 --version && echo "$target") || return 1
    if [ -f "$target/venv/made-of" ] && [ "$(cat "$target/venv/made-of")" = "$wanted" ]; then return 0; fi
    rm -rf "$target/venv"
    python3 -m venv "$target/venv" &&
        "$target/venv/bin/pip" install --quiet --disable-pip-version-check "${requirements[@]/#/--requirement=}" &&
        printf '%s\n' "$wanted" >"$target/venv/made-of"
}

# Unoptimised: it compiles in a minute, and runs for three seconds.
install_deny() {
    if [ -x "$deny" ]; then return 0; fi
    CARGO_TARGET_DIR=$target/tools CARGO_PROFILE_DEV_DEBUG=false \
        cargo install cargo-deny --version "$deny_version" --locked --debug --root "$tools/cargo-deny-$deny_version" &&
        rm -rf "$target/tools"
}

# Likewise. Tests read the version above, too.
install_otelite() {
    local folder=$tools/otelite-$otelite_version
    if [ -x "$folder/bin/otelite" ]; then return 0; fi
    CARGO_TARGET_DIR=$target/tools CARGO_PROFILE_DEV_DEBUG=false \
        cargo install otelite --version "$otelite_version" --locked --debug --root "$folder" &&
        rm -rf "$target/tools"
}

# Later versions of what the tests run beside, and what reads compose/ and kubernetes/.
fetch_later() {
    bash tests/forky.sh prometheus promtool prometheus-alertmanager docker-compose kustomize
}

# --- the checks ---

# Advisories need a copy of their database, which is fetched by `cargo deny fetch`; without one the rest is checked.
run_deny() {
    local checks=(bans licenses sources) database
    for database in "${CARGO_HOME:-$HOME/.cargo}"/advisory-dbs/*/.git; do
        if [ -e "$database" ]; then checks+=(advisories); break; fi
    done
    echo "checking: ${checks[*]}"
    "$deny" --offline check -A duplicate "${checks[@]}"
}

run_tests() {
    cargo test --locked --no-fail-fast
}

step "install packages" install_packages
step "install python tools" make_venv
step "fetch later programs" fetch_later
step "install cargo-deny" install_deny
step "install otelite" install_otelite
step "fetch dependencies" cargo fetch --locked
step "cargo fmt" cargo fmt --check
step "cargo clippy" cargo clippy --locked --all-targets -- -D warnings
step "cargo deny" run_deny
step "compose file" bash tests/deploy.sh compose
step "dockerfiles" bash tests/deploy.sh dockerfiles
step "prometheus and alertmanager files" bash tests/deploy.sh monitoring
step "kubernetes manifests" bash tests/deploy.sh kubernetes
step "dashboards in grafana's models" bash tests/grafana.sh models
step "dashboards in grafana's types" bash tests/grafana.sh types
step "cargo test" run_tests
tests_went_well=$?

if [ ${#failed_steps[@]} -gt 0 ]; then
    printf 'failed: %s\n' "$(IFS=,; echo "${failed_steps[*]}" | sed 's/,/, /g')"
fi
read -r passed failed <<<"$(awk '/^test result: / { passed += $4; failed += $6 } END { print passed + 0, failed + 0 }' "$logs/cargo-test.log")"
# What does not compile has no tests to count; it is one failure.
if [ "$tests_went_well" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ ${#failed_steps[@]} -eq 0 ] && [ "$passed" -gt 0 ]
