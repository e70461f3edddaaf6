#!/usr/bin/env bash
# Whether Grafana's own definitions know all that the dashboards say:
#
#   bash tests/grafana.sh models   # read and written again by grafana-foundation-sdk (Python): no key is lost
#   bash tests/grafana.sh types    # as literals of @grafana/schema's types: `tsc --strict` finds no key and no value that is not in them
#
# The first needs the virtual environment that tests/run.sh makes; the second needs npm, and says so and does nothing without it.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
target=${CARGO_TARGET_DIR:-target}

models() {
    "$target/venv/bin/python" tests/grafana_sdk.py dashboards/*.json
}

types() {
    if ! command -v npm >/dev/null; then
        echo "there is no npm here: the dashboards are not checked against @grafana/schema"
        return 0
    fi
    local folder=$target/grafana-types packages=(@grafana/schema@11.6.16 typescript@5.9.3)
    mkdir -p "$folder" || return 1
    if [ "$(cat "$folder/made-of" 2>/dev/null)" != "${packages[*]}" ]; then
        rm -rf "$folder/node_modules"
        echo '{"private": true, "type": "module"}' >"$folder/package.json"
        npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts "${packages[@]}" && echo "${packages[*]}" >"$folder/made-of" || return 1
    fi
    rm -rf "$folder/src"
    python3 tests/grafana_types.py "$folder/src" dashboards/*.json &&
        "$folder/node_modules/.bin/tsc" --strict --noEmit --skipLibCheck --module nodenext --moduleResolution nodenext --target es2022 "$folder"/src/*.ts
}

case ${1-} in
models | types) "$1" ;;
*)
    echo "usage: bash tests/grafana.sh models|types" >&2
    exit 2
    ;;
esac
