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

run_tests every_experiment_is_done nothing_fails time_adds_up equal_vcpus_get_equal_shares the_cpu_is_never_idle_beside_them \
    weights_are_kept flat_a_vm_with_three_vcpus_gets_three_shares in_a_cgroup_each_vms_share_by_weight_alone a_cap_is_kept
