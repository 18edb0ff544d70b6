# shellcheck shell=bash
# The VT-x host: Bochs, with kernel and initramfs on a CD and, on a disk made for this run, a root directory that holds busybox, the tree's
# build products, and the files and folders that the command's words and --share name, each at its own path and with its libraries.

# Haswell is the oldest model of Bochs with EPT and unrestricted guest, which KVM and Linux guests want.
BOCHS_CPU=corei7_haswell_4770
BOCHS_IPS=50000000      # how many instructions make a second of the host's clock: about what Bochs does here
DISK_ROOM_MB=64         # for what the command writes
BOCHS_SECTOR=512 BOCHS_HEADS=16 BOCHS_SECTORS=63

# The CD is made once, and again when the package or the init changes. A lock, as several labs may want it at once.
prepare_cd() {
    debian_kernel amd64
    local made=$tree/build/lab/vtx
    cd_image=$made/cd-$kernel_version-$(cat "$parts/init-vtx" "$parts/bochs.sh" | cksum | cut -d ' ' -f 1).iso
    mkdir -p "$made"
    exec 8> "$made/.lock"
    flock 8
    [ -e "$cd_image" ] || make_cd
    exec 8>&-
}

make_cd() {
    local made=$tree/build/lab/vtx folder
    folder=$(mktemp -d "$made/tree.XXXXXX")
    mkdir -p "$folder"/root/{bin,sbin,dev,proc,sys,host} "$folder/cd/isolinux"
    cp "$(debian_busybox amd64)" "$folder/root/bin/busybox"
    install -m 755 "$parts/init-vtx" "$folder/root/init"
    debian_modules "$folder/root" ata_piix sd_mod kvm-intel tun vhost_net
    pack_initramfs "$folder/root" "$folder/cd/initramfs"
    cp "$kernel_image" "$folder/cd/vmlinuz"
    cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$folder/cd/isolinux/"
    printf '%s\n' 'DEFAULT lab' 'LABEL lab' 'KERNEL /vmlinuz' 'INITRD /initramfs' \
        'APPEND console=ttyS0 quiet panic=-1 mitigations=off nokaslr' > "$folder/cd/isolinux/isolinux.cfg"
    rm -f "$made"/cd-*
    xorriso -as mkisofs -quiet -o "$folder/cd.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
        -boot-info-table "$folder/cd" > "$session/emulator" 2>&1 || die "cannot make the CD: $(tail -n 1 "$session/emulator")"
    mv "$folder/cd.iso" "$cd_image"
    rm -rf "$folder"
}

# take PATH: copies it into the root directory, with the shared libraries of programs. Links are followed.
take() {
    local path library file
    path=$(realpath -s "$1")
    [ ! -e "$packed$path" ] || return 0
    mkdir -p "$packed${path%/*}"
    cp -rL --sparse=always "$path" "$packed$path"
    while IFS= read -r file; do
        for library in $(ldd "$file" 2> /dev/null | grep -o '/[^ ]*'); do
            [ -e "$packed$library" ] || { mkdir -p "$packed${library%/*}"; cp -L "$library" "$packed$library"; }
        done
    done < <(find "$packed$path" -type f -size -64M \( -perm -u+x -o -name '*.so*' \))
}

pack_disk() {
    local packed=$session/root word size_mb
    mkdir -p "$packed"/{bin,sbin,dev,proc,sys,tmp,tmp.new,run/lab,root,etc,var,usr/bin,usr/sbin}
    mkdir -p "$packed$PWD"
    cp "$(debian_busybox amd64)" "$packed/bin/busybox"
    busybox --list | while read -r word; do [ "$word" = busybox ] || ln -s busybox "$packed/bin/$word"; done
    cp "$session/command" "$packed/run/lab/command"
    for word in "$tree"/build/vireo "$tree"/build/vireo-bench "$tree"/build/libvireo.so* "$tree"/build/images/{vmlinuz,initramfs,bench-initrd,root.ext4}; do
        [ ! -e "$word" ] || take "$word"
    done
    # shellcheck disable=SC2086  # the words within an argument, too: path=FILE,readonly, or sh -c '...'
    for word in "${shares[@]}" $(set -f; printf '%s\n' "${command[@]}" | tr ' ,=;|&<>()"'"'" '\n'); do
        [[ $word == */* && -e $word && $(realpath -s "$word") != / && $word != /dev/* && $word != /proc/* && $word != /sys/* ]] || continue
        [ "$(realpath "$word")" = "$tree" ] || take "$word"
    done
    size_mb=$(($(du -sm "$packed" | cut -f 1) + DISK_ROOM_MB))
    disk_cylinders=$((size_mb * 1048576 / (BOCHS_SECTOR * BOCHS_HEADS * BOCHS_SECTORS) + 1))
    truncate -s $((disk_cylinders * BOCHS_SECTOR * BOCHS_HEADS * BOCHS_SECTORS)) "$session/disk"
    mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d "$packed" "$session/disk" > "$session/emulator" 2>&1 ||
        die "cannot pack the disk: $(tail -n 1 "$session/emulator")"
    rm -rf "$packed"
}

write_bochsrc() {
    local size_mb=${memory%[MG]}
    [[ $memory != *G ]] || size_mb=$((size_mb * 1024))
    cat <<END
display_library: term
plugin_ctrl: speaker=false, sb16=false, es1370=false
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
cpu: model=$BOCHS_CPU, count=1, ips=$BOCHS_IPS, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=$size_mb, host=$size_mb
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx
clock: sync=none, time0=local
boot: cdrom
ata0-master: type=disk, path="$session/disk", mode=flat, cylinders=$disk_cylinders, heads=$BOCHS_HEADS, spt=$BOCHS_SECTORS, translation=auto
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=cdrom, path="$cd_image", status=inserted
com1: enabled=1, mode=file, dev="$session/console"
com2: enabled=1, mode=file, dev="$session/out"
com3: enabled=1, mode=file, dev="$session/err"
com4: enabled=1, mode=file, dev="$session/life"
log: $session/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
END
}

# Turns the host's signs of life into the files that the rest of scripts/lab looks for.
watch_life() {
    local word value
    while read -r word value; do
        case $word in
        started) : > "$session/started" ;;
        status) echo "${value//[^0-9]/}" > "$session/status" ;;
        esac
    done < "$session/life"
}

run_host() {
    prepare_cd
    pack_disk
    write_bochsrc > "$session/bochsrc"
    echo c > "$session/continue"        # Debian's Bochs is the debugger build and waits for a word
    mkfifo "$session/out" "$session/err" "$session/life"
    : > "$session/console"
    [ -z "$verbose" ] || spawn tail -f "$session/console" >&2
    leashed cat "$session/out" & local streams=($!)
    leashed cat "$session/err" >&2 & streams+=($!)
    watch_life & streams+=($!)
    # Its one display without X wants a terminal, which script(1) gives it.
    leashed "${limiter[@]}" script -qec "exec setpriv --pdeathsig KILL bochs -q -f $session/bochsrc -rc $session/continue" /dev/null \
        < /dev/null > "$session/emulator" 2>&1 3> "$session/out" 4> "$session/err" 5> "$session/life" &
    local emulator_pid=$! rc=0
    children+=($emulator_pid "${streams[@]}")
    progress_line "VT-x" & children+=($!)
    wait $emulator_pid || rc=$?
    [ $rc -ne 124 ] || : > "$session/timed-out"
    wait "${streams[@]}"
    grep -a 'PANIC' "$session/bochs.log" > "$session/emulator" || : > "$session/emulator"
}
