#!/bin/bash
# Test programs built for arm64, on an arm64 kernel: in the emulated ARM host, one test here for each program there. These are the tests on
# /dev/kvm, with a GICv3, and those that see the interrupt controller with a GICv2 too; and the unit tests that user emulation can't run
# (mk/tests.mk), as they need io_uring, taps and memory flags. Fairness, which knows no interrupt controller, once and by a clock that counts
# instructions: what else this machine does can't be seen there.
# test_wasm is left out: it makes its programs by compilers, which are not there.
# time limit: 2400
PROGRAM_LIMIT_S=600     # thousands of machines, or of pauses, take a minute or two where every instruction is emulated
HOST_LIMIT_S=1200
cd "$(dirname "$0")/../.." || exit 1

if [ "${1-}" = --here ]; then   # in the host, whose shell is busybox
    by=$2
    shift 2
    for program; do
        status=0
        CMOCKA_MESSAGE_OUTPUT=TAP $by "$program" > /tmp/output 2>&1 || status=$?
        sed 's/^/# /' /tmp/output
        echo "$status $program"
    done
    exit 0
fi

make --no-print-directory ARCH=arm64 test-bins > /tmp/vireo-arm64-units.$$ 2>&1 || {
    sed 's/^/# /' /tmp/vireo-arm64-units.$$
    rm -f /tmp/vireo-arm64-units.$$
    echo "Bail out! the tests can't be built for arm64"
    exit 1
}
rm -f /tmp/vireo-arm64-units.$$
mapfile -t units < <(find build/arm64/tests/unit -type f -name 'test_*' ! -name '*.*' | grep -E '/test_((blk|disk|gmem|paths|tap)[^/]*|calls|files)$' | sort)
mapfile -t kvms < <(find build/arm64/tests/kvm -type f -name 'test_*' ! -name '*.*' ! -name test_fairness ! -name test_wasm | sort)
fairness=build/arm64/tests/kvm/test_fairness
# The guests of the others take no interrupt: a GIC of another version changes nothing that they see.
mapfile -t with_interrupts < <(printf '%s\n' "${kvms[@]}" | grep -E '/test_(arm64|bench_exits|kernel|machine|record|snippets)[^/]*$')
echo "1..$((${#units[@]} + ${#kvms[@]} + ${#with_interrupts[@]} + 1))"

# on "OPTION..." "COMMAND..." PROGRAM...: a TAP line for each program, run by that command in a host with these options; what the failed
# one said comes before it.
count=0
on() {
    local options line said='' seen=0 by=$2
    read -ra options <<< "$1"
    shift 2
    [ $# -gt 0 ] || return 0
    while IFS= read -r line; do
        case $line in
        '# '*) said+=$line$'\n' ;;
        *' build/arm64/'*)
            seen=$((seen + 1)) count=$((count + 1))
            if [ "${line%% *}" = 0 ]; then
                echo "ok $count - ${line##*/} (${options[*]})"
            else
                printf '%s# exit status %s\nnot ok %d - %s (%s)\n' "$said" "${line%% *}" $count "${line##*/}" "${options[*]}"
            fi
            said='' ;;
        *) said+="# $line"$'\n' ;;
        esac
    done < <(scripts/lab arm64 "${options[@]}" --timeout $HOST_LIMIT_S -- sh "$0" --here "$by" "$@" < /dev/null 2>&1)
    [ $seen = $# ] || printf '%s# the host ended after %d of %d programs\n' "$said" $seen $#
}
on "--gic 3" "timeout $PROGRAM_LIMIT_S" "${units[@]}" "${kvms[@]}"
on "--gic 2" "timeout $PROGRAM_LIMIT_S" "${with_interrupts[@]}"
# Without a limit of its own: while the program is loaded from this machine's disk, that clock leaps to the next timer, and would reach any.
on "--count-instructions=8" "sh scripts/lab.d/in-memory" "$fairness"
