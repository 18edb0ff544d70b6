# shellcheck shell=bash
# Named VMs on this machine's /dev/kvm, beside each other, that vireo's other commands look at. To be sourced by a script that stands in the
# tree's root and has kill_all, which ends its VMs, and may have clean_up. Goes on in a new folder, which has the VMs' sockets, and goes at the end.
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
VIREO=$PWD/build/vireo
TREE=$PWD

if [ ! -w /dev/kvm ] || [ "$(uname -m)" != x86_64 ]; then
    echo "1..0 # SKIP no /dev/kvm, or no x86-64, to run these guests on"
    exit 0
fi
work=$(mktemp -d)
mkdir -m 700 "$work/run"
export XDG_RUNTIME_DIR=$work/run
clean_up() { :; }
trap 'kill_all; clean_up; rm -rf "$work"' EXIT
cd "$work" || exit 1

# make_guest FILE.S -o GUEST...: bytes to run from 1 MiB on.
make_guest() { gcc -nostdlib -static -no-pie -Wl,--build-id=none,-z,noseparate-code,-Ttext=0x101000 "$@"; }
