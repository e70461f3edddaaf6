#!/usr/bin/env bash
# Checks what otload is deployed with: the stack of compose/ and the manifests of kubernetes/, by the programs that will read them, none
# of which is started.
#
#   bash tests/deploy.sh compose | dockerfiles | monitoring | kubernetes
#
# tests/run.sh has brought what this needs: docker-compose, kustomize and a later promtool and amtool from Debian's forky, hadolint and
# kubernetes-validate into the virtual environment, promtool and amtool from Debian. What is missing fails.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

later=${XDG_CACHE_HOME:-$HOME/.cache}/otload-tools/forky
venv=${CARGO_TARGET_DIR:-target}/venv
failed=0

# check COMMAND...: says what fails, and goes on.
check() {
    if "$@"; then return 0; fi
    echo "FAILED: $*" >&2
    failed=1
}

check_compose() {
    local compose=$later/docker-compose/usr/libexec/docker/cli-plugins/docker-compose
    check "$compose" --file compose/compose.yaml config --quiet
}

check_dockerfiles() {
    local files
    mapfile -t files < <(git ls-files '*Dockerfile')
    if [ ${#files[@]} -eq 0 ]; then echo "git knows no Dockerfile"; failed=1; fi
    check "$venv/bin/hadolint" "${files[@]}"
}

# The same files as Prometheus 2.42 and 3.5 and Alertmanager 0.25 and 0.33 get them from `compose/native`. Of what the one in compose.yaml
# gets, that is all but `scrape_native_histograms`, which is younger than any that Debian has.
check_monitoring() {
    local folder programs
    folder=$(mktemp -d) || exit 1
    trap 'rm -rf "$folder"' RETURN
    for programs in "prometheus promtool amtool" \
        "$later/prometheus/usr/bin/prometheus $later/promtool/usr/bin/promtool $later/prometheus-alertmanager/usr/bin/amtool"; do
        local prometheus promtool amtool
        read -r prometheus promtool amtool <<<"$programs"
        check compose/native config --dir "$folder" --prometheus "$prometheus"
        check "$promtool" check config "$folder/prometheus/prometheus.yml"
        check "$amtool" check-config "$folder/alertmanager/alertmanager.yml"
    done
}

# Kubernetes' own kinds by its schemas; the operator's two by models of its definitions, and their rules by promtool.
check_kubernetes() {
    local folder
    folder=$(mktemp -d) || exit 1
    trap 'rm -rf "$folder"' RETURN
    check "$later/kustomize/usr/bin/kustomize" build kubernetes --output "$folder/all.yaml"
    check "$later/kustomize/usr/bin/kustomize" build dashboards --output "$folder/dashboards.yaml"
    # The validator wants a name to speak of.
    sed 's/^  generateName: otload-run-$/  name: otload-run-x7k2p/' kubernetes/run-job.yaml >"$folder/job.yaml"
    check "$venv/bin/kubernetes-validate" -k 1.37 --strict "$folder"/{all,dashboards,job}.yaml >"$folder/said"
    cat "$folder/said"
    if grep '^WARN' "$folder/said" | grep -vE 'for kind (PodMonitor|PrometheusRule) '; then
        echo "FAILED: these were not validated"
        failed=1
    fi
    if ! grep -q 'passed for resource job/' "$folder/said" || [ "$(grep -c ' passed for ' "$folder/said")" -lt 15 ]; then
        echo "FAILED: fewer resources than there should be"
        failed=1
    fi
    check "$venv/bin/python" tests/manifests.py <"$folder/all.yaml" >"$folder/rules.yaml"
    check promtool check rules "$folder/rules.yaml"
}

case "${1:-}" in
compose | dockerfiles | monitoring | kubernetes) "check_$1" ;;
*)
    echo "say what: bash tests/deploy.sh compose | dockerfiles | monitoring | kubernetes" >&2
    exit 2
    ;;
esac
exit "$failed"
