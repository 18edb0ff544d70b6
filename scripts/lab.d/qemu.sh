# shellcheck shell=bash
# The AMD-V and ARM hosts: QEMU without acceleration, the machine's root directory by virtiofs, the streams by virtio-serial.

VIRTIOFSD=/usr/lib/qemu/virtiofsd

# The host's kernel and initramfs are made once, and again when the package or the init changes. A lock, as several labs may want them at once.
prepare_host() {
    local arch=$1 made=$tree/build/lab/$host folder
    shift
    debian_kernel "$arch"
    initramfs=$made/initramfs-$kernel_version-$(cat "$parts/init" "$parts/qemu.sh" | cksum | cut -d ' ' -f 1)
    mkdir -p "$made"
    exec 8> "$made/.lock"
    flock 8
    if [ ! -e "$initramfs" ]; then
        folder=$(mktemp -d "$made/tree.XXXXXX")
        mkdir -p "$folder"/{bin,sbin,dev,proc,sys,host}
        cp "$(debian_busybox "$arch")" "$folder/bin/busybox"
        install -m 755 "$parts/init" "$folder/init"
        debian_modules "$folder" "$@"
        rm -f "$made"/initramfs-*
        pack_initramfs "$folder" "$initramfs"
        rm -rf "$folder"
    fi
    exec 8>&-
}

# What QEMU 7.2 does wrong here, seen, and then found in its source:
# - A processor may keep old code when another processor changes it at the moment of reading (not since 8.1). Linux changes its scheduler's code
#   when a host's first VM is made and when the last is closed. One of two processors then meets a breakpoint that is no longer there, for ever,
#   and the host stands still. So the host has one processor, unless the user wants more.
# - VMRUN does not load the interrupt shadow (AMD APM volume 2, 15.21.5). An interrupt may come between a guest's STI and HLT, and HLT then waits
#   for the next one.
# - The number of an interrupt that VMRUN injected is kept. If the processor's loop is left before the guest's next exit, as happens where
#   instructions are counted, it is delivered again, even with interrupts off. A handler that is met with a lock held then waits for itself.
# A host with one processor hangs too, once in an hour of guests, for an unknown reason. One candidate was found in the source but not seen:
# VMRUN marks a virtual interrupt as pending without the lock. That may lose a real one that comes just then and, if it is the timer's, all later
# ones.
host_amdv() {
    prepare_host amd64 virtio_pci virtiofs virtio_console kvm-amd tun vhost_net
    title=AMD-V
    emulator=(qemu-system-x86_64 -machine "q35,memory-backend=ram,hpet=off,smbus=off,sata=off" -cpu max,+svm,+npt)
    cmdline="console=ttyS0 mitigations=off tsc=reliable random.trust_cpu=on"
}

host_arm64() {
    prepare_host arm64 virtio_pci virtiofs virtio_console tun vhost_net
    title="ARM (GICv$gic)"
    emulator=(qemu-system-aarch64 -machine "virt,virtualization=on,gic-version=$gic,memory-backend=ram" -cpu cortex-a57)
    cmdline="console=ttyAMA0"
    : > "$session/foreign"
}

# needs_sharing FOLDER: would a fresh /tmp hide it?
needs_sharing() { [[ $1 == /tmp/* || $1 == /run/* ]]; }

run_host() {
    "host_$host"
    if [ -n "$icount" ]; then
        local shift=0
        while [ $((1 << shift)) -lt "$icount" ]; do shift=$((shift + 1)); done
        emulator+=(-accel tcg,thread=single,tb-size=256 -icount "shift=$shift,sleep=off")
    else
        emulator+=(-accel tcg,thread=multi,tb-size=256)
    fi
    local folder
    for folder in "$tree" "$PWD" "${shares[@]}"; do
        needs_sharing "$folder" && echo "$folder"
    done | sort -u > "$session/shares"
    echo "$kernel_root/lib/modules" > "$session/modules"
    echo "lab-$host" > "$session/hostname"

    emulator+=(-smp "$cpus" -m "$memory" -object "memory-backend-memfd,id=ram,size=$memory,share=on" -no-reboot -nodefaults
        -no-user-config -display none -kernel "$kernel_image" -initrd "$initramfs"
        -append "$cmdline quiet panic=-1 lab.session=$session"
        -chardev "file,id=console,path=$session/console" -serial chardev:console
        -chardev "socket,id=fs,path=$session/fs" -device vhost-user-fs-pci,chardev=fs,tag=host
        -device virtio-serial-pci,max_ports=4)
    if [ -n "$tty" ]; then
        stty size | sed 's/\(.*\) \(.*\)/rows \1 cols \2/' > "$session/size"
        emulator+=(-chardev stdio,id=tty,signal=off -device virtconsole,chardev=tty)
    else
        mkfifo "$session/in" "$session/out" "$session/err"
        emulator+=(-chardev stdio,id=in,signal=off -device virtserialport,chardev=in,name=lab.in
            -chardev "file,id=out,path=$session/out" -device virtserialport,chardev=out,name=lab.out
            -chardev "file,id=err,path=$session/err" -device virtserialport,chardev=err,name=lab.err)
    fi
    : > "$session/console"
    [ -z "$verbose" ] || spawn tail -f "$session/console" >&2
    exec 3<&0
    spawn "$VIRTIOFSD" --socket-path="$session/fs" -o source=/ -o sandbox=chroot -o log_level=err > "$session/emulator" 2>&1
    local waited=0
    while [ ! -S "$session/fs" ]; do
        kill -0 "${children[-1]}" 2> /dev/null && [ $((waited += 1)) -le 600 ] || die "virtiofsd did not start: $(cat "$session/emulator")"
        sleep 0.05
    done
    local streams=()
    if [ -n "$tty" ]; then
        leashed "${limiter[@]}" "${emulator[@]}" <&3 2>> "$session/emulator" &
    else
        leashed cat "$session/out" & streams+=($!)
        leashed cat "$session/err" >&2 & streams+=($!)
        leashed cat <&3 > "$session/in" 2> /dev/null & children+=($!)
        # QEMU opens the two fifos by name. They are open here too, so `cat` meets their end even if QEMU never gets that far.
        leashed "${limiter[@]}" "${emulator[@]}" < "$session/in" > "$session/out" 4> "$session/err" 2>> "$session/emulator" &
    fi
    local emulator_pid=$!
    children+=($emulator_pid "${streams[@]}")
    progress_line "$title" & children+=($!)
    local rc=0
    wait $emulator_pid || rc=$?
    [ $rc -ne 124 ] || : > "$session/timed-out"
    [ ${#streams[@]} -eq 0 ] || wait "${streams[@]}"
}
