# shellcheck shell=bash
# A shell test's results as TAP. A script sources this, calls check and skip, and ends with tap_done.

tap_count=0

# check PROMISE COMMAND...: one test; what the command prints is shown when it fails.
check() {
    local promise=$1 said
    shift
    tap_count=$((tap_count + 1))
    if said=$("$@" 2>&1); then
        echo "ok $tap_count - $promise"
    else
        echo "not ok $tap_count - $promise"
        printf '%s\n' "$said" | sed 's/^/# /'
    fi
}

# skip PROMISE REASON
skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

tap_done() { echo "1..$tap_count"; }
