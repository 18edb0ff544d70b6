# shellcheck shell=bash
# Kernels and busybox from Debian packages. They are downloaded once into build/debs, unpacked there and never installed. Sourced by
# scripts/images and scripts/lab, which set $tree. Everything below runs under one lock, so that several may start at once on an empty cache.

debs=$tree/build/debs

# debian_unpacked PACKAGE[:ARCH] [MEMBER]: prints the folder in which the package's newest version is unpacked, or only its ./MEMBER.
debian_unpacked() {
    local package=$1 folder=$debs/${1/:/.}
    if [ ! -e "$folder/.complete" ]; then
        mkdir -p "$debs"
        (
            flock 9
            [ -e "$folder/.complete" ] || debian_fetch "$package" "$folder" "${2-.}"
        ) 9> "$debs/.lock" || return
    fi
    echo "$folder"
}

# Where a package only names the current one (linux-image-cloud-amd64), the package that it depends on is taken.
debian_fetch() {
    local package=$1 folder=$2 member=$3 real download
    # On a fresh machine apt may not know the foreign architecture and the package lists yet.
    apt-cache show "$package" > /dev/null 2>&1 || debian_refresh "$package" || return
    real=$(apt-cache depends --no-recommends "$package" | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
    download=$folder.download
    rm -rf "$folder" "$download"
    mkdir -p "$download"
    # apt's own sandbox user may be unable to enter a private checkout.
    (cd "$download" && apt-get -qq -o APT::Sandbox::User=root download "${real:-$package}") || {
        echo "cannot download the Debian package ${real:-$package}: run 'apt-get update' as root and try again" >&2
        return 1
    }
    mkdir "$download/root"
    dpkg --fsys-tarfile "$download"/*.deb | tar -x -C "$download/root" "$member" || return
    # The package's own scripts are not run, but modprobe wants to know which module needs which.
    [ ! -d "$download/root/lib/modules" ] || /sbin/depmod -b "$download/root" "$(ls "$download/root/lib/modules")"
    touch "$download/root/.complete"
    mv "$download"/*.deb "$debs/"
    mv "$download/root" "$folder"
    rmdir "$download"
}

debian_refresh() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    [[ $1 != *:arm64 ]] || "${as_root[@]}" dpkg --add-architecture arm64
    "${as_root[@]}" apt-get -qq update || true      # one dead mirror of many is no reason to stop; the next line is
    apt-cache show "$1" > /dev/null 2>&1 || {
        echo "apt does not know the Debian package $1: this needs Debian 12's package sources" >&2
        return 1
    }
}

# debian_kernel amd64|arm64: sets kernel_root (the unpacked package), kernel_version and kernel_image (bzImage or Image).
debian_kernel() {
    kernel_root=$(debian_unpacked "linux-image-cloud-$1:$1") || return
    kernel_version=$(cd "$kernel_root/lib/modules" && echo *)
    kernel_image=$kernel_root/boot/vmlinuz-$kernel_version
}

# debian_generic_kernel: prints the path of Debian's kernel for ordinary PCs (amd64), which unlike the cloud kernel reads an MP table: a bzImage.
debian_generic_kernel() {
    local folder
    folder=$(debian_unpacked linux-image-amd64:amd64 ./boot) || return
    echo "$folder"/boot/vmlinuz-*
}

# debian_busybox amd64|arm64: prints the path of a static busybox.
debian_busybox() {
    local folder
    folder=$(debian_unpacked "busybox-static:$1") || return
    echo "$folder/bin/busybox"
}

# debian_modules FOLDER MODULE...: copies the modules and all they need from the kernel chosen last into FOLDER/lib/modules/VERSION, flat, and
# writes FOLDER/lib/modules/order, one file name a line in the order in which insmod takes them. Modules built into the kernel are left out.
debian_modules() {
    local folder=$1/lib/modules module file
    shift
    mkdir -p "$folder"
    : > "$folder/order"
    for module in "$@"; do
        /sbin/modprobe -d "$kernel_root" -S "$kernel_version" --show-depends "$module" | while read -r verb file _; do
            [ "$verb" = insmod ] || continue
            grep -qxF "${file##*/}" "$folder/order" && continue
            cp "$file" "$folder/"
            echo "${file##*/}" >> "$folder/order"
        done
    done
}

# pack_initramfs FOLDER FILE: FOLDER as a newc archive, the same bytes for the same content. Written beside and renamed: a reader that has
# the old one open keeps it.
pack_initramfs() {
    find "$1" -exec touch -h -d @0 {} +
    (cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc --reproducible -R 0:0) > "$2.$$"
    mv "$2.$$" "$2"
}
