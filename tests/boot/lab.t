#!/bin/bash
# What scripts/lab promises of any command, on the AMD-V host; and that it gives no host where it can't.
# time limit: 200
cd "$(dirname "$0")/../.." || exit 1
. tests/boot/tap.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work     # where a lab keeps its session

status_streams_and_surroundings_come_through() {
    local status=0
    (cd tests && LAB_TEST_WORD="two words" ../scripts/lab amdv --timeout 120 -- bash -c 'cat; echo "$PWD" "$LAB_TEST_WORD" "$1"; echo oops >&2
        for c in cpu memory; do grep -qw $c /sys/fs/cgroup/cgroup.controllers || exit 1; done
        [ -c /dev/kvm ] && [ -c /dev/net/tun ] && [ -c /dev/vhost-net ] && [ "$(stat -f -c %T /tmp)" = tmpfs ] && exit 42' - "an argument" \
        > "$work/out" 2> "$work/err" < <(echo input)) || status=$?
    [ $status = 42 ] || { echo "exit status $status"; cat "$work/err"; return 1; }
    diff "$work/out" <(echo input; echo "$PWD/tests two words an argument") && diff "$work/err" <(echo oops)
}

# all_gone SESSION: within a minute; who only waits to be reaped is gone.
all_gone() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        ps -s "$1" -o stat,args --no-headers | grep -v '^Z' > "$work/left" || return 0
        sleep 0.1
    done
    cat "$work/left"
    return 1
}

the_limit_is_status_124_and_nothing_stays_behind() {
    local status=0
    # setsid: whatever it starts can be told by its session.
    setsid --wait scripts/lab amdv --timeout 8 -- sleep 1000 < /dev/null > "$work/out" 2>&1 &
    local session=$!
    wait $session || status=$?
    [ $status = 124 ] || { echo "exit status $status"; cat "$work/out"; return 1; }
    all_gone $session && ! ls -d "$work"/vireo-lab.* 2> /dev/null
}

a_killed_lab_takes_its_processes_along() {
    setsid scripts/lab amdv -- sleep 1000 < /dev/null > /dev/null 2>&1 &
    local session=$! tries
    for ((tries = 0; tries < 600; tries++)); do
        ps -s $session -o args --no-headers | grep -q '^qemu' && break
        sleep 0.1
    done
    [ $tries -lt 600 ] || { echo "no emulator started"; return 1; }
    kill -9 $session
    all_gone $session
}

bad_words_are_one_sentence_and_status_125() {
    local words
    while read -r words; do
        # shellcheck disable=SC2086
        scripts/lab $words > "$work/out" 2> "$work/err" < /dev/null
        [ $? = 125 ] && [ "$(wc -l < "$work/err")" = 1 ] || { echo "scripts/lab $words:"; cat "$work/err"; return 1; }
    done <<'END'
sparc true
amdv
amdv --cpus many true
amdv --memory 2 true
amdv --share /no/such/folder true
vtx --count-instructions true
amdv --count-instructions=3 true
amdv --count-instructions=2048 true
arm64 --count-instructions=fast true
amdv --no-such-option true
END
}

check status_streams_and_surroundings_come_through status_streams_and_surroundings_come_through
check the_limit_is_status_124_and_nothing_stays_behind the_limit_is_status_124_and_nothing_stays_behind
check a_killed_lab_takes_its_processes_along a_killed_lab_takes_its_processes_along
check bad_words_are_one_sentence_and_status_125 bad_words_are_one_sentence_and_status_125
tap_done
