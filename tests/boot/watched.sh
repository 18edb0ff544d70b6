# shellcheck shell=sh
# A VM that is looked at while it runs, in an emulated host: `vireo stat`, its JSON, `vireo top`, beside what the VM's own process says of
# itself (--stats). Plain sh, as the ARM host has no more. $VIREO is the program; WATCH_CURL: there is a curl to ask for Prometheus' page.
WATCH_TRIES=120         # of a second: until both vCPUs are up, and more

# exits VCPU FILE: that came to the monitor, in a page.
exits() { sed -n "s/^vCPU $1: \([0-9]*\) exits.*/\1/p" "$2"; }
# told VCPU KIND NAME: a count in the JSON object.
told() { sed -n "s/^{\"kind\": \"$2\", \"vcpu\": $1, \"name\": \"$3\", \"count\": \([0-9]*\),.*/\1/p" object; }
# eventually_true CONDITION...
eventually_true() {
    for _ in $(seq $WATCH_TRIES); do
        "$@" && return 0
        sleep 1
    done
    echo "never came true: $*"
    return 1
}
sees_both() { "$VIREO" stat web > before 2> looked && [ -n "$(exits 0 before)" ] && [ -n "$(exits 1 before)" ]; }
has_said() { grep -q '^  weighted sum' own; }
# rising WHAT COUNT NUMBER...: so many, each at least the one before, the first above 0.
rising() {
    what=$1 numbers=$2 last=1
    shift 2
    [ $# = "$numbers" ] || { echo "$what: $# numbers, not $numbers: $*"; return 1; }
    for n; do
        [ "$n" -ge $last ] || { echo "$what: not rising: $*"; return 1; }
        last=$n
    done
}

look_at_it() {
    eventually_true sees_both || { cat looked before; return 1; }
    kill -USR1 "$1"
    eventually_true has_said && cp own between || return 1
    "$VIREO" stat web --json > object && "$VIREO" top web --interval 1 --count 2 > blocks && "$VIREO" stat web > after || return 1
    grep -q '"schema": "vireo-stats-1"' object || { cat object; return 1; }
    [ "$(grep -c '^vCPU 1 ' blocks)" = 2 ] && grep -q '^[a-z ]*  *[1-9][0-9]*  *[0-9.]* %' blocks || { cat blocks; return 1; }
    sees_kvms_exits || return 1
    [ -n "${WATCH_CURL-}" ] || return 0
    curl -sSf --max-time 60 --unix-socket run/vireo/web.sock http://vm/metrics > metrics || return 1
    grep -q '^vireo_exits_total{vm="web",.*} [1-9]' metrics && grep -q '^vireo_kvm_exits_total{.*} [1-9]' metrics || { cat metrics; return 1; }
}
# All its exits, KVM's own too, where this host's tracepoints can be read.
sees_kvms_exits() {
    [ -r /sys/kernel/tracing/events/kvm/kvm_exit/format ] || mount -t tracefs none /sys/kernel/tracing 2> /dev/null
    [ -r /sys/kernel/tracing/events/kvm/kvm_exit/format ] || return 0
    "$VIREO" stat web --exits=3 --where > traced || return 1
    grep -q ' KVM  *[1-9]' traced && grep -q '^vCPU 0: [1-9][0-9]* exits' traced && grep -q '^0x[0-9a-f]*  *[1-9]' traced || { cat traced; return 1; }
}
# is_watched OPTION...: a VM of two vCPUs with these options, which runs until it is ended, each with exits to the monitor.
is_watched() {
    rc=0 ended=0
    mkdir -m 700 run
    XDG_RUNTIME_DIR=$PWD/run
    export XDG_RUNTIME_DIR
    "$VIREO" run --name web --cpus 2 --stats own "$@" > console 2> errors < /dev/null &
    vm=$!
    look_at_it $vm || rc=1
    kill $vm
    wait $vm || ended=$?
    [ $rc = 0 ] || return 1
    [ $ended = 143 ] || { echo "exit status $ended"; cat errors; return 1; }
    for vcpu in 0 1; do
        # shellcheck disable=SC2046  # numbers
        rising "vCPU $vcpu" 4 $(exits $vcpu before) $(exits $vcpu between) $(exits $vcpu after) $(exits $vcpu own) || return 1
        # An exit that came to the monitor was one of the kernel's first.
        # shellcheck disable=SC2046
        rising "vCPU $vcpu, monitor and kernel" 2 $(told $vcpu vcpu vCPU) $(told $vcpu kernel exits) || { cat object; return 1; }
    done
}
