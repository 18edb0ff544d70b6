#!/bin/bash
# Linux on our virtio network device and a tap, in the emulated AMD-V host.
# time limit: 900
. "$(dirname "$0")/boot.sh" amdv --memory 2G --timeout 420

HOST=192.168.77.1 GUEST=192.168.77.2
DATA_MB=2         # some hundred frames each way; an emulated host on a busy machine moves a third of a megabyte a second

with_tap() {
    ip tuntap add dev tap7 mode tap
    ip address add $HOST/24 dev tap7
    ip link set tap7 up
}

without_tap() { ip link delete tap7 2> /dev/null || true; }

# networked COMMAND [OPTION...]: linux with eth0 on tap7.
networked() {
    local command=$1
    shift
    EXTRA="vireo.ip=$GUEST/24" linux "$command" --net "tap=tap7,mac=52:54:00:12:34:56" "$@"
}

both_sides_can_ping_each_other() {
    networked "ping -c 3 $HOST > /dev/null && echo guest reaches host; touch /tmp/x; sleep 10" &
    local vmm=$!
    eventually grep -q "guest reaches host" console
    ping -c 3 -W 5 $GUEST
    wait $vmm
}

the_card_has_the_address_it_was_given() {
    ends_with 0 poweroff networked 'cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu' --name mac
    said 52:54:00:12:34:56
    said 1500
}

a_stream_arrives_whole_in_both_directions() {
    head -c ${DATA_MB}M /dev/urandom > to-guest
    # The guest sends back what it got: the host compares the echo, the guest names the checksum it saw.
    socat -u OPEN:to-guest TCP-LISTEN:7001,reuseaddr &
    local sender=$!
    socat -u TCP-LISTEN:7002,reuseaddr CREATE:from-guest &
    local receiver=$!
    ends_with 0 poweroff networked "nc $HOST 7001 < /dev/null > /tmp/data; got=\$(sha256sum < /tmp/data); echo \"got=\$got\"
        nc $HOST 7002 < /tmp/data > /dev/null" --memory 512M --cpus 2
    wait $sender $receiver
    equal "what the guest got" "$(value got)" "$(sha256sum < to-guest)"
    equal "what came back" "$(sha256sum < from-guest)" "$(sha256sum < to-guest)"
}

a_tap_is_free_again_after_kill_9() {
    networked 'echo now; sleep 600' &
    local vmm=$!
    eventually grep -q now console
    pkill -9 -f "^$VIREO run" # not the timeout it runs under
    wait $vmm || true
    ends_with 0 poweroff networked "ping -c 1 $HOST > /dev/null && echo again"
    said again
}

# The carrier as Linux sees it, over a driver that is unbound and bound again, which resets the card.
a_tap_deleted_under_the_guest_is_a_pulled_cable() {
    ip tuntap add dev tap8 mode tap
    ip link set tap8 up
    linux 'ip link set eth0 up; sleep 1; echo "before=$(cat /sys/class/net/eth0/carrier)"; touch /tmp/ready; echo now
        i=0; while [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done
        echo "after=$(cat /sys/class/net/eth0/carrier)"
        cd /sys/bus/virtio/drivers/virtio_net; card=$(ls -d virtio*); echo $card > unbind; echo $card > bind
        ip link set eth0 up; sleep 1; echo "again=$(cat /sys/class/net/eth0/carrier)"' --net tap=tap8 > ended 2>&1 &
    local vmm=$!
    eventually grep -q now console
    ip link delete tap8
    wait $vmm
    equal "the carrier before" "$(value before)" 1
    equal "the carrier after" "$(value after)" 0
    equal "the carrier after a reset" "$(value again)" 0
    grep -qF '"reason": "poweroff"' report
    [ "$(grep -c 'the tap is gone' errors)" = 1 ]
}

trap without_tap EXIT
without_tap
with_tap
run_tests both_sides_can_ping_each_other the_card_has_the_address_it_was_given a_stream_arrives_whole_in_both_directions \
    a_tap_is_free_again_after_kill_9 a_tap_deleted_under_the_guest_is_a_pulled_cable
