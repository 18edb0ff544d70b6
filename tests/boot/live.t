#!/bin/bash
# `vireo fairness`, with VMs on this machine's /dev/kvm that spin, are held back, end, are stopped and are renamed. Other programs run here too:
# what is held to is what they can't explain, such as a nice value, a quota, three vCPUs against one.
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/named_vms.sh
. tests/boot/named_vms.sh
RUN_LIMIT_S=120
CPU_GROUP=/sys/fs/cgroup/cpu    # version 1, where the root may hold threads of any process
[ -d $CPU_GROUP ] || CPU_GROUP=/sys/fs/cgroup

make_guest "$TREE/tests/bench/hammer_x86.S" -o hammer || exit 1
printf '.globl _start\n_start: jmp _start\n' > endless.S
make_guest endless.S -o endless || exit 1
clean_up() { rmdir $CPU_GROUP/vireo-live-$$ 2> /dev/null; }
LAST=$(($(nproc) - 1))

running=()
kill_all() { [ ${#running[@]} = 0 ] || kill -CONT "${running[@]}" 2> /dev/null; [ ${#running[@]} = 0 ] || kill "${running[@]}" 2> /dev/null; running=(); wait; }
# start NAME GUEST OPTION...: in the background, its process id in $vmm; returns when it answers.
start() {
    local name=$1 guest=$2 i
    shift 2
    "$VIREO" run --kernel "$guest" --memory 16M --console off --name "$name" --timeout ${RUN_LIMIT_S}s "$@" 2> "err-$name" < /dev/null &
    vmm=$!
    running+=("$vmm")
    for ((i = 0; i < 600; i++)); do "$VIREO" stat "$name" > /dev/null 2>&1 && return 0; sleep 0.05; done
    echo "$name does not answer"
    cat "err-$name"
    return 1
}
# busy COMMAND...: a process that spins, on the last CPU.
busy() {
    taskset -c $LAST "$@" bash -c 'while :; do :; done' &
    running+=($!)
}
# judged SECONDS WORD...: the object is in ./out.
judged() { local s=$1; shift; ends 0 fairness "$@" --json --duration "${s}s"; }
perl_of() { perl -MJSON::PP -0777 -e '$o = decode_json(<STDIN>); %p = map { $_->{id} => $_ } @{$o->{properties}}; print eval $ARGV[0]; die $@ if $@' "$1" < out; }
# is PERL TEXT: what it makes of the object.
is() { [ "$(perl_of "$1")" = "$2" ] || { echo "$1: $(perl_of "$1"), not $2"; cat out; return 1; }; }
# explains PROPERTY TEXT
explains() { perl_of "\$p{$1}{cause}" | grep -qF -- "$2" || { echo "$1 is not explained by $2"; cat out; return 1; }; }
errs() { grep -qF -- "$1" err || { echo "no \"$1\" in"; cat err; return 1; }; }
# alone COMMAND: with no VM left over.
alone() { local rc=0; "$@" || rc=1; kill_all; return $rc; }

a_vm_pinned_beside_a_busy_process_is_told_so() {
    start web endless --cpu-affinity 0=$LAST && busy nice -n -15 || return 1
    judged 3 web || return 1
    # It is among those who had that CPU; whoever had most of it, on a busy machine perhaps another, is named first.
    # shellcheck disable=SC2016
    local others='@{(grep { $_->{cpu} == '$LAST' } @{$o->{cpus}})[0]{others}}' first
    is "scalar grep { \$_->{pid} == ${running[1]} && \$_->{name} eq 'bash' && \$_->{ran_ns} > 5e7 } $others" 1 || return 1
    first=$(perl_of "(map { \"PID \$_->{pid} (\$_->{name}\" } $others)[0]")
    perl_of '$o->{summary}' | grep -qF "vm web's vCPU 0 may only use CPU $LAST, where $first" && perl_of '$o->{summary}' | grep -qE ' took [0-9]+ %' || { echo "not $first"; cat out; return 1; }
}
a_nice_value_is_found_and_named() {
    start web hammer --cpus 2 --cpu-affinity all=$LAST --nice 1=10 && judged 3 web || return 1
    # shellcheck disable=SC2016
    is '"$p{F1}{verdict} $p{F1}{vm} $p{F1}{vcpu} $o->{verdict}"' "fail web 1 fail" && explains F1 "vm web's vCPU 1 runs at nice 10, the other at 0"
}
three_vcpus_against_one_are_told_to_use_groups() {
    start web hammer --cpus 3 --cpu-affinity all=$LAST && start db hammer --cpu-affinity all=$LAST && judged 3 web db || return 1
    # shellcheck disable=SC2016
    is '"$p{F10}{verdict} $p{F10}{vm}"' "fail db" && explains F10 "vm web has 3 vCPUs and vm db 1" || return 1
    # Whoever wants it so says so.
    judged 2 web db --weights web=3 && is '$p{F10}{verdict}' pass && is '$o->{weights}' given
}
a_quota_is_found_and_named() {
    start web endless --cgroup $CPU_GROUP/vireo-live-$$ --cgroup-max 5% && judged 3 web || return 1
    # shellcheck disable=SC2016
    is '"$p{T1}{verdict} $o->{verdict}"' "fail fail" && explains T1 "vireo-live-$$/vireo-web, or one above it, may run for 5 of every 100 ms"
}
what_was_found_is_for_programs_and_people() {
    start web endless || return 1
    judged 1 && is 'join " ", $o->{schema}, map { $_->{name} } @{$o->{vms}}' "vireo-fairness-1 web" &&
        is '$v = $o->{vcpus}[0]; $v->{ran_ns} > 0 && $v->{wanted_ns} <= 1.02 * $o->{duration_ns} && @{$v->{lane}} > 0 ? "yes" : "no"' yes &&
        is '$t = 0; $t += $_->{busy_ns} + $_->{idle_ns} + $_->{steal_ns} for @{$o->{cpus}}; $t > 0.8 * $o->{duration_ns} * @{$o->{cpus}} ? "yes" : "no"' yes || return 1
    ends 0 fairness web --duration 1s -o page && grep -q '^web 0  *[0-9.]* s ' page && grep -q '^F10 ' page && grep -q "^  CPU $LAST " page && [ ! -s out ] && [ ! -s err ] || return 1
    # Nobody is asked to read JSON: a page draws it.
    ends 0 fairness web --duration 1s --json -o found.json && ends 0 report found.json -o page.html && grep -q 'Are the VMs treated fairly' page.html && grep -q 'class="due"' page.html || return 1
    head -c 900 found.json > cut.json && ends 125 report cut.json && errs 'cut short' && ends 125 report found.json found.json && errs 'give it alone' &&
        sed 's/vireo-fairness-1/vireo-fairness-2/' found.json > next.json && ends 125 report next.json && errs 'this program reads vireo-fairness-1'
}
a_verdict_decides_the_status() {
    start web hammer --cpus 2 --cpu-affinity all=$LAST --nice 1=10 && ends 1 fairness web --duration 2s --fail-on fail && ends 1 fairness web --duration 2s --fail-on inconclusive &&
        ends 0 fairness web --duration 2s
}
a_vm_that_ends_is_judged_until_then() {
    start web endless --timeout 4s && start db endless || return 1
    judged 30 web db && perl_of '$o->{note}' | grep -q '^vm web ended after [1-4]\.[0-9] s: what was until then is judged$' || { cat out; return 1; }
    "$VIREO" fairness db --duration 20s > out 2> err &
    local asker=$! got=0
    sleep 0.5
    kill $vmm
    wait $asker || got=$?
    [ $got = 125 ] && errs 'vm db ended after 0.' || { echo "status $got"; return 1; }
}
a_vm_that_is_stopped_or_renamed_is_noted() {
    start web endless || return 1
    "$VIREO" fairness web --json --duration 4s > out 2> err &
    local asker=$!
    sleep 1.5
    kill -STOP $vmm
    sleep 1
    kill -CONT $vmm
    mv run/vireo/web.sock run/vireo/shop.sock
    wait $asker && perl_of '$o->{note}' | grep -qE "^vm web's process was stopped by a signal for [1-9][0-9]* % of the time; vm web does not answer to that name any more" || { cat out err; return 1; }
}
ctrl_c_ends_it_with_what_was_seen() {
    start web endless || return 1
    "$VIREO" fairness web --json --duration 60s > out 2> err &
    local asker=$! got=0
    sleep 2.5
    kill -TERM $asker
    wait $asker || got=$?
    [ $got = 143 ] && is '$o->{duration_ns} > 1e9 && $o->{duration_ns} < 50e9 ? "early" : "late"' early
}
mistakes_are_one_sentence() {
    ends 125 fairness && errs 'no VM that has a name runs' && start web endless || return 1
    ends 125 fairness wbe && errs 'did you mean "web"?' && ends 125 fairness web web && errs 'named twice' &&
        ends 125 fairness web --duration 0.1s && errs 'a time from 1s to 600s' && ends 125 fairness web --duration 601s && errs 'a time from 1s to 600s' &&
        ends 125 fairness web --weights db=1 && errs '"db" is none of the VMs that are watched' && ends 125 fairness web --weights web && errs 'write NAME=NUMBER' &&
        ends 125 fairness web --fail-on pass && errs 'fail or inconclusive' && ends 125 fairness web -o /nowhere/page && errs '/nowhere/page' || return 1
    # Another user's VM: its directory is refused before anything in it is believed.
    chmod 711 "$work" && cp "$VIREO" "$VIREO-bench" . && chown 65534 run/vireo && ends 125 fairness web && errs 'belongs to another user'
    local rc=$?
    chown "$(id -u)" run/vireo
    return $rc
}

for test in a_vm_pinned_beside_a_busy_process_is_told_so a_nice_value_is_found_and_named three_vcpus_against_one_are_told_to_use_groups \
    what_was_found_is_for_programs_and_people a_verdict_decides_the_status a_vm_that_ends_is_judged_until_then a_vm_that_is_stopped_or_renamed_is_noted \
    ctrl_c_ends_it_with_what_was_seen mistakes_are_one_sentence; do
    check "${test//_/ }" alone $test
done
if mkdir $CPU_GROUP/vireo-live-$$ 2> /dev/null; then
    check "a quota is found and named" alone a_quota_is_found_and_named
else
    skip "a quota is found and named" "no cgroup can be made below $CPU_GROUP"
fi
tap_done
