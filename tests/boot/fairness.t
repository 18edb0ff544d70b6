#!/bin/bash
# How the scheduler shares a CPU between vCPUs and between VMs in cgroups of version 2, with the kernel's own KVM: in the emulated AMD-V host, by a
# clock that counts instructions, so that whatever else this machine does cannot be seen there, and bounds can be held to.
# time limit: 900
# shellcheck source=tests/boot/boot.sh
. "$(dirname "$0")/boot.sh" amdv --count-instructions=8 --timeout 420

# The program's threads can only have groups of their own below the one that it lives in.
mkdir /sys/fs/cgroup/fairness && echo $$ > /sys/fs/cgroup/fairness/cgroup.procs || exit 1
found=$work/found.csv
"$OLDPWD/scripts/lab.d/in-memory" "$VIREO-bench" bench fairness --experiments E1,E2,E7,E8 --vcpus 4 --format csv > "$found" 2> "$work/said" < /dev/null
status=$?
sed 's/^/# /' "$work/said" "$found"

# verdict EXPERIMENT PROPERTY WANTED [TIMES]: the verdict, of so many variants.
verdict() {
    local times
    times=$(grep -c "^$1,.*,$2,$3," "$found")
    [ "$times" = "${4-1}" ] || { echo "$1: $2 is $3 $times times, not ${4-1}"; return 1; }
}

every_experiment_is_done() {
    equal status $status 0
    equal experiments "$(cut -d, -f1 "$found" | sort -u | tr '\n' ' ')" "E1 E2 E7 E8 experiment "
    ! grep -E '^E[^,]*,("[^"]*"|[^,]*),0,(unsupported|inconclusive),' "$found"
}
nothing_fails() { ! grep -E ',(fail|fails),' "$found"; }
time_adds_up() { verdict E1 C1 holds && verdict E1 C2 holds && verdict E1 C3 holds && grep -q ',C4,holds,' "$found"; }
equal_vcpus_get_equal_shares() { verdict E1 F1 pass && verdict E1 F3 pass && verdict E1 F6 pass && verdict E1 F13 pass; }
the_cpu_is_never_idle_beside_them() { verdict E1 F7 pass && verdict E2 F7 pass && verdict E7 F7 pass 3; }
weights_are_kept() { verdict E2 F2 pass && verdict E2 F3 pass; }
flat_a_vm_with_three_vcpus_gets_three_shares() { verdict E7 F1 pass && verdict E7 F10 reported; }
in_a_cgroup_each_vms_share_by_weight_alone() { verdict E7 F10 pass 2; }
a_cap_is_kept() { verdict E8 F11 pass; }

# ---- vireo fairness, of VMs that run

printf '.globl _start\n_start: jmp _start\n' > endless.S
gcc -nostdlib -static -no-pie -Wl,-Ttext=0x1000000 -Wl,--build-id=none endless.S -o endless
# start NAME OPTION...: a VM that spins; its process id is in $vmm.
start() {
    "$VIREO" run --kernel endless --memory 32M --console off --name "$1" --timeout 100s "${@:2}" > /dev/null 2> "err-$1" < /dev/null &
    vmm=$!
    local i
    for ((i = 0; i < 100; i++)); do "$VIREO" stat "$1" > /dev/null 2>&1 && return; sleep 0.1; done
    cat "err-$1"
    return 1
}
# told PERL: what it makes of the object in ./found.
told() { perl -MJSON::PP -0777 -e '$o = decode_json(<STDIN>); %p = map { $_->{id} => $_ } @{$o->{properties}}; %ran = map { $_->{vm} => $_->{ran_ns} } @{$o->{vcpus}}; print eval $ARGV[0]; die $@ if $@' "$1" < found; }

running_vms_get_what_their_cgroups_weights_give() {
    start web --cgroup /sys/fs/cgroup/fairness --cgroup-weight 300
    local first=$vmm got=0
    start db --cgroup /sys/fs/cgroup/fairness --cgroup-weight 100
    "$VIREO" fairness web db --duration 3s --json > found || got=$?
    kill $first $vmm
    wait $first $vmm || true
    equal status $got 0
    # shellcheck disable=SC2016  # Perl's
    equal verdicts "$(told '"$o->{verdict} $p{F10}{verdict} $p{C4}{verdict} $o->{weights}"')" "pass pass pass cgroup" || { cat found; return 1; }
    # shellcheck disable=SC2016
    equal "web's time over db's" "$(told 'sprintf "%.1f", $ran{web} / $ran{db}')" 3.0
    # shellcheck disable=SC2016
    equal CPUs "$(told 'join " ", map { $_->{cpu} } @{$o->{cpus}}')" 0
}
a_vm_beside_a_busy_process_is_told_who_has_its_cpu() {
    start web --cpu-affinity all=0
    local first=$vmm rival got=0
    start db
    nice -n -15 bash -c 'while :; do :; done' &
    rival=$!
    "$VIREO" fairness web db --duration 3s --json > found || got=$?
    kill $first $vmm $rival
    wait $first $vmm $rival || true
    equal status $got 0
    # shellcheck disable=SC2016
    told '$o->{summary}' > summary
    cat summary
    grep -qE "vm (web|db)'s vCPU 0 was mostly on CPU 0, where PID $rival \(bash, nice -15\) took [6-9][0-9] %" summary || { cat found; return 1; }
    # shellcheck disable=SC2016
    equal "F10 of two that wait alike" "$(told '$p{F10}{verdict}')" pass
}

run_tests running_vms_get_what_their_cgroups_weights_give a_vm_beside_a_busy_process_is_told_who_has_its_cpu every_experiment_is_done nothing_fails time_adds_up equal_vcpus_get_equal_shares the_cpu_is_never_idle_beside_them \
    weights_are_kept flat_a_vm_with_three_vcpus_gets_three_shares in_a_cgroup_each_vms_share_by_weight_alone a_cap_is_kept
