#!/bin/bash
# The test runner must not call a failure a success.
cd "$(dirname "$0")/../.." || exit 1
. tests/boot/tap.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# runs STATUS TOTALS FILE...: what tests/run makes of them.
runs() {
    local status=$1 totals=$2 got=0
    shift 2
    (cd "$work" && "$OLDPWD/tests/run" "$@") > "$work/out" 2>&1 || got=$?
    cat "$work/out"
    [ $got = "$status" ] && [ "$(tail -n 1 "$work/out")" = "$totals" ]
}
script() { printf '%s\n' "${@:2}" > "$work/$1"; }

script good.t 'echo 1..2' 'echo ok 1 - a' 'echo "ok 2 - b # SKIP no such thing here"'
script bad.t 'echo 1..2' 'echo ok 1 - a' 'echo not ok 2 - b'
script short.t 'echo 1..2' 'echo ok 1 - a'
script status.t 'echo 1..1' 'echo ok 1 - a' 'exit 3'
script slow.t '# time limit: 1' 'echo ok 1 - a' 'sleep 20' 'echo 1..1'
script none.t 'echo "1..0 # SKIP no host"'
printf '%s\n' '#!/bin/sh' 'echo 1..2; echo ok 1 - a; echo no KVM here; echo "not ok 2 # SKIP b"; echo 1..1; echo ok 1 - c' > "$work/cmocka"
printf '%s\n' '#!/bin/sh' 'echo 1..2; echo ok 1 - a; kill -SEGV $$' > "$work/crash"
chmod +x "$work/cmocka" "$work/crash"

check passes_and_skips_are_told_apart runs 0 "1 passed, 0 failed, 1 skipped" good.t
check a_reason_to_skip_is_shown grep -qx '  good.t: b: no such thing here' "$work/out"
check a_failure_fails runs 1 "2 passed, 1 failed, 1 skipped" good.t bad.t
check its_output_is_shown grep -qx 'not ok 2 - b' "$work/out"
check a_test_that_never_ran_fails runs 1 "1 passed, 1 failed, 0 skipped" short.t
check a_bad_exit_status_fails runs 1 "1 passed, 1 failed, 0 skipped" status.t
check the_time_limit_fails runs 1 "1 passed, 1 failed, 0 skipped" slow.t
check nothing_run_is_no_success runs 1 "0 passed, 0 failed, 1 skipped" none.t
check a_missing_file_fails runs 1 "0 passed, 1 failed, 0 skipped" nowhere.t
check cmocka_groups_and_skips_are_understood runs 0 "2 passed, 0 failed, 1 skipped" ./cmocka
check a_crashed_cmocka_program_fails runs 1 "1 passed, 1 failed, 0 skipped" ./crash
tap_done
