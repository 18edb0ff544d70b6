#!/bin/bash
# `vireo top --record` and `vireo report` of what it wrote, with VMs on this machine's /dev/kvm: one whose guest begins a storm of exits after
# some seconds, and others that come and go.
# time limit: 600
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/named_vms.sh
. tests/boot/named_vms.sh
RUN_LIMIT_S=500         # half a minute, and much longer beside other work

pulse() { make_guest "$@" "$TREE/tests/bench/pulse_x86.S"; }
# A hundred exits a second; one of them 20,000 a second from its twelfth second on, for a minute.
pulse -o quiet && pulse -o storm -DSTORM_AT=1200 -DSTORM_TICKS=6000 || exit 1

# A check runs in a shell of its own: what is in the background is known by a file, and holds none of the check's output.
kill_one() { kill "$(cat "pid-$1")" 2> /dev/null; rm -f "pid-$1"; }
kill_all() { local f; for f in pid-*; do [ ! -e "$f" ] || kill_one "${f#pid-}"; done; }
behind() { # NAME OUTPUT COMMAND...
    local name=$1 out=$2
    shift 2
    timeout $RUN_LIMIT_S "$@" > "$out" 2> "err-$name" < /dev/null &
    echo $! > "pid-$name"
}
start() { # NAME KERNEL
    behind "$1" /dev/null "$VIREO" run --kernel "$2" --memory 16M --console off --name "$1"
    eventually "$VIREO" stat "$1" || { cat "err-$1"; return 1; }
}
eventually() { # COMMAND...
    local i
    for ((i = 0; i < 1200; i++)); do "$@" > /dev/null 2>&1 && return 0; sleep 0.05; done
    echo "never: $*"
    return 1
}
# lines FILE CONDITION: how many lines of a recording fulfil it; each must be an object.
lines() { perl -MJSON::PP -ne 'chomp; $o = decode_json($_); $o->{type} //= ""; $n++ if eval $ARGV_CONDITION; BEGIN { $ARGV_CONDITION = pop } END { print $n + 0 }' "$1" "$2"; }
errs() { grep -qF -- "$1" err || { echo "no \"$1\" in"; cat err; return 1; }; }

has_ended() { ! kill -0 "$(cat "pid-$1")"; }
# All that run, those that come later too; the storm is told of, here and in a picture of it; an end by a signal is an end.
records_vms_that_come_and_go() {
    start storm storm && start first quiet || return 1
    behind recorder /dev/null "$VIREO" top --record all --interval 0.1
    behind pictures blocks "$VIREO" top storm --interval 0.1
    eventually grep -q '"name": "first"' all && start second quiet && eventually grep -q '"name": "second"' all || return 1
    kill_one first
    eventually grep -q '"type": "gone"' all && eventually grep -q '"event": "begins", "metric": "exit_rate", "of": "port out"' all || return 1
    kill "$(cat pid-recorder)"
    eventually has_ended recorder && [ "$(tail -n 1 all | grep -c '"type": "end"')" = 1 ] || { tail -n 2 all; return 1; }
    cp err-recorder err
    errs 'storm: exits by port out: ' && errs ' usual was '
}
# shellcheck disable=SC2016  # Perl's
lines_say_what_happened() {
    [ "$(lines all '$o->{schema} eq "vireo-recording-1" && $o->{interval_ns} == 1e8 && $o->{host}{kernel} && $o->{host}{cpu}')" = 1 ] &&
        [ "$(lines all '$o->{type} eq "vm" && $o->{uuid} =~ /^[0-9a-f-]{36}$/ && $o->{vcpus} == 1')" = 3 ] &&
        [ "$(lines all '$o->{type} eq "sample" && $o->{vcpus}[0]{run_delay_ns} >= 0 && $o->{classes}[0]{handler_p99_ns} > 0')" -gt 30 ] &&
        [ "$(lines all '$o->{type} eq "alarm" && $o->{metric} eq "exit_rate" && $o->{event} eq "begins" && $o->{value} > 5 * $o->{median} && $o->{odds} >= 1e6 && $o->{samples} >= 30')" = 1 ] || { cat all; return 1; }
}
report_draws_it() {
    ends 0 report all -o page.html && [ ! -s err ] && xmllint --noout page.html || { cat err; return 1; }
    local words
    for words in '<h2>storm</h2>' '<h2>second</h2>' 'exits by port out: [0-9]*/s where [0-9]*/s was usual' 'vCPUs: ran, waited'; do
        grep -q "$words" page.html || { echo "no $words"; return 1; }
    done
}
what_is_cut_is_drawn_and_said() {
    head -c $(($(stat -c %s all) / 2)) all > half
    ends 0 report half -o page.html && errs 'half: ' && grep -q '<h2>storm</h2>' page.html && grep -q 'is cut off: what is before it' page.html && xmllint --noout page.html || return 1
    head -n 20 all > whole-lines
    ends 0 report whole-lines -o page.html && errs 'was cut short'
}
what_is_of_another_version_is_a_sentence() {
    sed '1s/recording-1/recording-7/' all > other
    ends 125 report other && errs 'another version, vireo-recording-7' && [ ! -s out ] && ends 125 report all all && errs 'page of its own'
}
a_pipe_takes_a_recording() {
    # shellcheck disable=SC2016  # Perl's
    ends 0 top second --record - --interval 0.1 --count 4 && mv out piped && [ "$(lines piped '$o->{type} eq "sample"')" = 3 ] && [ "$(tail -n 1 piped | grep -c '"end"')" = 1 ] &&
        timeout $RUN_LIMIT_S "$VIREO" top second --record - --interval 0.1 | head -n 2 > two && [ "$(wc -l < two)" = 2 ]
}
a_second_recorder_of_a_file_is_refused() {
    behind shared /dev/null "$VIREO" top second --record shared --interval 0.1
    eventually grep -q '"sample"' shared && ends 125 top second --record shared && errs 'recording shared: ' && errs 'has locked that file' || { kill_one shared; return 1; }
    kill_one shared
    eventually grep -q '"end"' shared && head -n 1 shared | grep -q '"vireo-recording' && ends 0 top second --record shared --interval 0.1 --count 2
}
# Nothing is written after the first line.
a_reader_that_has_gone_is_noticed_without_a_vm() {
    mkdir -p empty
    # shellcheck disable=SC2016  # the inner shell's
    XDG_RUNTIME_DIR=$PWD/empty timeout $RUN_LIMIT_S bash -c '"$0" top --record - --interval 60 2> /dev/null | head -n 1 > one-line' "$VIREO" && [ "$(wc -l < one-line)" = 1 ]
}
top_shows_the_alarm_with_its_evidence() {
    local rc=0
    eventually grep -q '^alarm: exits by port out: [0-9]* 1/s for [0-9]* s; usual was [0-9]* 1/s (spread .*samples); by chance once in' blocks || rc=1
    kill_one pictures
    return $rc
}
ends_with_the_vm_and_after_its_time() {
    start short quiet || return 1
    (sleep 1; kill_one short) > /dev/null 2>&1 &
    ends 0 top short --record one --interval 0.1 && errs 'short has ended' && tail -n 1 one | grep -q '"end"' || return 1
    wait
    ends 0 top --record none --duration 500ms --interval 0.2 && [ "$(wc -l < none)" = 2 ]
}
a_wrong_name_leaves_the_file_alone() {
    echo kept > old
    ends 125 top nobody --record old && errs 'no VM called "nobody" runs' && [ "$(cat old)" = kept ] && ends 125 top second nobody --record old && [ "$(cat old)" = kept ] && ends 125 top nobody --record new && [ ! -e new ]
}
bad_words_are_refused() {
    ends 125 top nobody --record x && errs 'no VM called "nobody" runs' && ends 125 top web db web --record x && errs '"web" is named twice' && ends 125 top --record no/x && errs 'no/x: No such file' &&
        ends 125 top --record x --duration 0 && errs '0.1 to 31536000' && ends 125 top --record x --duration 3x && errs 'as 60 or 30m' && ends 125 top --record && errs 'no value given' && ends 125 top && errs 'which VM?'
}

check "VMs that come and go are recorded, and a storm of exits is told" records_vms_that_come_and_go
check "a second recorder of a file is refused" a_second_recorder_of_a_file_is_refused
check "a reader that has gone is noticed without a VM" a_reader_that_has_gone_is_noticed_without_a_vm
check "vireo top shows the alarm with its evidence" top_shows_the_alarm_with_its_evidence
check "each line is an object and says what happened" lines_say_what_happened
check "vireo report draws it" report_draws_it
check "what is cut is drawn as far as it goes, and said" what_is_cut_is_drawn_and_said
check "another version is one sentence" what_is_of_another_version_is_a_sentence
check "a pipe takes a recording" a_pipe_takes_a_recording
check "a name that no VM has leaves the file as it was" a_wrong_name_leaves_the_file_alone
kill_all
check "a recording ends with its VM, or after its time" ends_with_the_vm_and_after_its_time
check "commands that make no sense are refused" bad_words_are_refused
tap_done
