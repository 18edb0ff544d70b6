# shellcheck shell=bash
# What the boot tests share. A test script boots its emulated host once, with itself inside; there every function named in run_tests is one
# test, and its name what it promises. Sourced with the host's name and the options of scripts/lab:
#
#   . "$(dirname "$0")/boot.sh" amdv --memory 3G
#
# ONLY="NAME..." runs only these tests. Inside, /tmp is in memory and the working directory is the tree.

boot_host=$1
shift
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
if [ "${VIREO_LAB-}" != "$boot_host" ]; then
    scripts/images || exit 1
    # shellcheck source=tests/boot/again.sh
    . tests/boot/again.sh
    in_lab "$boot_host" "$@" -- bash "$0"
    exit
fi

VIREO=$PWD/build/vireo
IMAGES=$PWD/build/images
BOOT_LIMIT_S=120        # a guest's boot and work take 5 to 20 s in an emulated host that has a processor for itself
KILL_LIMIT_S=20         # then it has not ended when it was asked to
work=$(mktemp -d)
cd "$work" || exit 1

# encoded COMMAND: as a word of the guest's command line (guest/linux/init decodes it).
encoded() {
    local text=${1//%/%25}
    text=${text//\"/%22}
    text=${text//\\/%5C}
    text=${text//$'\n'/%0A}
    printf 'vireo.run="%s"' "$text"
}

# guest [OPTION...]: `vireo run`, its console in ./console; returns its status.
# QEMU's AMD-V may make a guest wait for ever (host_amdv in scripts/lab.d/qemu.sh): one that has hung there is started again, once, and run_tests
# tells of it.
guest() {
    local begin=$SECONDS tries=1 status
    [ "$boot_host" != amdv ] || tries=2
    while :; do
        status=0
        timeout -k $KILL_LIMIT_S $BOOT_LIMIT_S "$VIREO" run "$@" > console 2> errors < /dev/null || status=$?
        [ $((SECONDS - begin)) -ge $BOOT_LIMIT_S ] && [ $((tries -= 1)) -gt 0 ] || return $status
        echo "hung: a guest was ended after $BOOT_LIMIT_S s and started again"
        begin=$SECONDS
    done
}

# linux COMMAND [OPTION...]: boots the stock kernel, runs COMMAND in the guest. The report is in ./report. EXTRA holds more words for the command
# line, KERNEL another kernel.
linux() {
    local command=$1
    shift
    guest --kernel "${KERNEL-$IMAGES/vmlinuz}" --initrd "$IMAGES/initramfs" --cmdline "console=ttyS0 quiet ${EXTRA-} $(encoded "$command")" \
        --json=report "$@"
}

# ends_with STATUS REASON COMMAND...: COMMAND is a call of linux or of what ends in one.
ends_with() {
    local status=$1 reason=$2 got=0
    shift 2
    "$@" || got=$?
    [ $got = "$status" ] || { echo "exit status $got, not $status"; return 1; }
    grep -qF "\"reason\": \"$reason\"" report || { echo "the reason is not $reason"; return 1; }
}

# said TEXT: the guest's console has this line.
said() { tr -d '\r' < console | grep -qxF -- "$1" || { echo "the guest did not say: $1"; return 1; }; }

# never_said TEXT: nothing of it anywhere on the console.
never_said() { ! grep -F -- "$1" console; }

# value NAME: what the guest printed as NAME=...
value() { tr -d '\r' < console | sed -n "s/^$1=//p" | tail -n 1; }

# equal WHAT A B
equal() { [ "$2" = "$3" ] || { echo "$1: $2 is not $3"; return 1; }; }

# eventually CONDITION...: within 60 s.
eventually() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        "$@" && return 0
        sleep 0.1
    done
    echo "never came true: $*"
    return 1
}

root_copy() { cp --sparse=always "$IMAGES/root.ext4" "$1"; }

run_tests() {
    local name rc n=0
    # For whoever is after one failure.
    # shellcheck disable=SC2086  # a list of names
    [ -z "${ONLY-}" ] || set -- $ONLY
    echo "1..$#"
    for name in "$@"; do
        n=$((n + 1))
        rm -f console report errors
        local begin=$SECONDS
        # Not in a condition: there `set -e` would not hold.
        ( set -eu; trap - EXIT; "$name" ) > log 2>&1
        rc=$?
        echo "# $((SECONDS - begin)) s"
        sed -n 's/^hung: /# /p' log
        if [ $rc = 0 ]; then echo "ok $n - $name"; continue; fi
        echo "not ok $n - $name"
        for file in log errors report console; do
            [ ! -s $file ] || { echo "# ---- $file"; tail -n 40 $file | sed 's/^/# /'; }
        done
    done
}
