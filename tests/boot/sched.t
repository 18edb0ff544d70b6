#!/bin/bash
# How the host schedules a VM, where cgroups are version 2 and the kernel is stock: in the emulated AMD-V host, whose processes lie in the root
# group. What is asked of threads themselves is tests/kvm/test_sched, which runs here once more for its cgroups.
# time limit: 900
. "$(dirname "$0")/boot.sh" amdv --memory 2G --timeout 420

CGROUPS=/sys/fs/cgroup

# busy OPTION...: a VM of two vCPUs of which one spins, in the background: its process id in $vmm. Returns when it runs.
busy() {
    [ -e endless.elf ] || {
        printf '.globl _start\n_start: jmp _start\n' > endless.S
        gcc -nostdlib -static -no-pie -Wl,-Ttext=0x1000000 -Wl,--build-id=none endless.S -o endless.elf
    }
    "$VIREO" run --kernel endless.elf --memory 32M --cpus 2 --console off --timeout 120 "$@" > out 2> errors < /dev/null &
    vmm=$!
    eventually has_vcpus || { cat errors; return 1; }
}
# vcpus: their thread ids, a line each; others: those of the process's other threads.
vcpus() { threads yes; }
others() { threads no; }
threads() {
    local task name is_vcpu
    for task in /proc/$vmm/task/*; do
        read -r name < "$task/comm" || continue
        is_vcpu=no
        [[ $name != *:vcpu[0-9]* ]] || is_vcpu=yes
        [ $is_vcpu != "$1" ] || echo "${task##*/}"
    done
} 2> /dev/null
# All that was asked is done before any of them runs: the first one runs, for a tick or more (the other waits for the guest to start it).
has_vcpus() {
    local tid ran
    for tid in $(vcpus); do
        read -r ran _ < "/proc/$vmm/task/$tid/schedstat" && [ "$ran" -gt 4000000 ] && return 0
    done
    return 1
}
gone() { kill "${1:-$vmm}" && { wait "${1:-$vmm}" || true; }; }
# group_of TID
group_of() { sed -n 's/^0:://p' "/proc/$vmm/task/$1/cgroup"; }
# refused TEXT OPTION...
refused() {
    local text=$1 got=0
    shift
    timeout 60 "$VIREO" run --console off "$@" > out 2> errors < /dev/null || got=$?
    [ $got = 125 ] || [ $got = 126 ] || { echo "exit status $got"; return 1; }
    grep -F -- "$text" errors
}
has() { equal "$1" "$(cat "$1")" "$2"; }

a_vm_beside_its_program_has_a_threaded_group() {
    busy --name web --cgroup $CGROUPS --cgroup-weight 300 --cgroup-max 150%
    has $CGROUPS/vireo-web/cgroup.type threaded
    has $CGROUPS/vireo-web/cpu.weight 300
    has $CGROUPS/vireo-web/cpu.max "150000 100000"
    local tid
    for tid in $(vcpus); do
        equal group "$(group_of "$tid")" /vireo-web
        grep -qx "$tid" $CGROUPS/vireo-web/cgroup.threads
    done
    for tid in $(others); do
        case $(cat "/proc/$vmm/task/$tid/comm") in
            web:* | kvm-nx-lpage-re) equal group "$(group_of "$tid")" /vireo-web ;;
            vireo) equal group "$(group_of "$tid")" / ;;
        esac
    done
    gone
    [ ! -e $CGROUPS/vireo-web ]
}

vcpus_may_join_alone() {
    busy --name web --cgroup $CGROUPS --cgroup-threads vcpus
    local tid
    for tid in $(vcpus); do equal group "$(group_of "$tid")" /vireo-web; done
    for tid in $(others); do [ "$(group_of "$tid")" = / ] || [ "$(cat "/proc/$vmm/task/$tid/comm")" = kvm-nx-lpage-re ]; done
    gone
    mkdir $CGROUPS/vms
    refused "only the whole process can join" --cgroup $CGROUPS/vms --cgroup-threads vcpus
    rmdir $CGROUPS/vms
}

a_program_inside_a_group_gives_each_vm_its_own() {
    mkdir $CGROUPS/inside
    local first groups
    # One process per VM here; both lie in the group themselves, and share the time by their VMs' weights.
    echo $BASHPID > $CGROUPS/inside/cgroup.procs
    busy --name one --cgroup $CGROUPS/inside
    first=$vmm
    busy --name two --cgroup $CGROUPS/inside --cgroup-weight 50
    groups=$(for tid in $(vcpus); do group_of "$tid"; done | sort -u)
    equal group "$groups" /inside/vireo-two
    equal program "$(sed -n 's/^0:://p' /proc/$vmm/cgroup)" /inside
    has $CGROUPS/inside/vireo-one/cpu.weight 100
    has $CGROUPS/inside/vireo-two/cpu.weight 50
    gone
    gone $first
    echo $BASHPID > $CGROUPS/cgroup.procs
    rmdir $CGROUPS/inside
}

a_vm_elsewhere_moves_whole_and_leaves_nothing() {
    mkdir $CGROUPS/vms
    busy --name db --cgroup $CGROUPS/vms --cgroup-weight 20
    has $CGROUPS/vms/vireo-db/cgroup.type domain
    has $CGROUPS/vms/vireo-db/cgroup.procs $vmm
    has $CGROUPS/vms/vireo-db/cpu.weight 20
    refused "in use; another VM has this name" --name db --cgroup $CGROUPS/vms
    gone
    rmdir $CGROUPS/vms      # it is empty
}

what_a_killed_vm_left_is_replaced() {
    mkdir $CGROUPS/vms
    busy --name db --cgroup $CGROUPS/vms --cgroup-weight 20
    kill -KILL $vmm
    wait $vmm || true
    [ -e $CGROUPS/vms/vireo-db ]
    busy --name db --cgroup $CGROUPS/vms
    has $CGROUPS/vms/vireo-db/cpu.weight 100
    gone
    rmdir $CGROUPS/vms
}

# usage_us VM
usage_us() { sed -n 's/^usage_usec //p' $CGROUPS/vireo-"$1"/cpu.stat; }
a_cap_holds() {
    busy --name capped --cgroup $CGROUPS --cgroup-max 40% --stats stats --json=report
    local from to used percent
    from=${EPOCHREALTIME/[.,]/} used=$(usage_us capped)
    sleep 3
    used=$(($(usage_us capped) - used)) to=${EPOCHREALTIME/[.,]/}
    gone
    grep -qE '"throttled": [1-9][0-9]*, "throttled_ns": [1-9]' stats
    percent=$((used * 100 / (to - from)))
    echo "a spinning vCPU used $percent % of a CPU"
    [ $percent -ge 20 ] && [ $percent -le 46 ]      # a period more at the edges
}

what_may_not_be_written_is_named() {
    chmod 666 /dev/kvm
    cp "$VIREO" vireo
    chmod 755 . vireo
    mkdir $CGROUPS/vms
    local got=0
    setpriv --reuid 65534 --regid 65534 --clear-groups ./vireo run --console off --name web --cgroup $CGROUPS/vms > out 2> errors < /dev/null || got=$?
    rmdir $CGROUPS/vms
    cat errors
    equal status $got 126
    grep -qF "cgroup.procs: Permission denied" errors
    got=0
    setpriv --reuid 65534 --regid 65534 --clear-groups ./vireo run --console off --nice -5 > out 2> errors < /dev/null || got=$?
    cat errors
    equal status $got 126
    grep -qF "nice -5 of vCPU 0: Permission denied" errors
    grep -qF "CAP_SYS_NICE" errors
}

linux_in_the_guest_sees_the_time_that_was_taken() {
    taskset -c 0 sh -c 'while :; do :; done' &
    local rival=$!
    ends_with 0 poweroff linux 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; set -- $(head -n 1 /proc/stat); echo steal=$9' --cpu-affinity all=0
    kill $rival
    echo "steal: $(value steal) ticks"
    [ "$(value steal)" -gt 20 ]     # of a boot and a loop that shared the CPU: seconds
}

# A soft lockup is 4 seconds here; the guest is busy for 22, of which it is stopped for 15. (Whoever leaves idleness touches the watchdog.)
stopped_linux_reports_no_lockup() {
    EXTRA="watchdog_thresh=2" linux 'echo begun; up() { read -r up _ < /proc/uptime; up=${up%.*}; }; up; end=$((up + 22)); while [ $up -lt $end ]; do up; done; echo soft=$(dmesg | grep -c "soft locku[p]") jump=$(dmesg | grep -c .)' &
    local run=$! tries=0
    until grep -q begun console 2> /dev/null; do sleep 0.2; tries=$((tries + 1)); [ $tries -lt 600 ] || return 1; done
    pkill -STOP -x vireo
    sleep 15
    pkill -CONT -x vireo
    wait $run
    grep soft= console
    tr -d '\r' < console | grep -q '^soft=0 jump=[1-9]'
}

threads_are_scheduled_as_asked_on_a_stock_kernel() {
    "${VIREO%/vireo}/tests/kvm/test_sched"
}

run_tests a_vm_beside_its_program_has_a_threaded_group vcpus_may_join_alone a_program_inside_a_group_gives_each_vm_its_own \
    a_vm_elsewhere_moves_whole_and_leaves_nothing what_a_killed_vm_left_is_replaced a_cap_holds what_may_not_be_written_is_named \
    linux_in_the_guest_sees_the_time_that_was_taken stopped_linux_reports_no_lockup threads_are_scheduled_as_asked_on_a_stock_kernel
