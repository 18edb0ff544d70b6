#!/bin/bash
# The checks of `make lint` that are ours find what they are for: each breach is put into a small tree of its own.
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

n=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; sed 's/^/# /' "$work/said"; fi; }

# A tree with a file on each floor and nothing wrong.
fresh_tree() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree"/{scripts,include,devices/{backend,virtio},bench/arch,arch/x86,arch/arm64,guest,tests,vmm/{base,core,config,kvm,machine,lib,cli}}
    cp "$top"/scripts/check-* "$work/tree/scripts/"
    cd "$work/tree" || exit 1
    echo '#include "vmm/base/base.h"' | tee vmm/core/core.c vmm/machine/runner.c vmm/lib/lib.c > arch/arch.h
    echo 'int base(void);' > vmm/base/base.h
    echo 'int cli(void);' > vmm/cli/cli.h
    echo '#include "arch/arch.h"' | tee arch/x86/x86.c > arch/arm64/arm64.c
    echo '#include <linux/kvm.h>' | tee -a vmm/machine/runner.c vmm/kvm/kvm.c arch/x86/x86.c > tests/kvm.c
    echo '#include <vireo.h>' | tee -a vmm/lib/lib.c > vmm/cli/main.c
    echo '#include "vmm/base/base.h"' >> vmm/cli/main.c
    echo '#include "devices/backend/disk.h"' > devices/virtio/blk.c
    echo '#include "vmm/machine/lab.h"' > bench/bench.c
    touch include/vireo.h bench/bench.h vmm/machine/lab.h devices/backend/disk.h devices/virtio/virtio.h vmm/config/config.h arch/x86/struct_arch.h arch/arm64/arm64.h devices/devices.c
}

finds() { # FILE LINE-TO-ADD EXPECTED-WORDS NAME
    fresh_tree
    echo "$2" >> "$1"
    scripts/check-floors > "$work/said" 2>&1
    [ $? = 1 ] && grep -q "^$1:[0-9]*: .*$3" "$work/said"
    ok $? "$4"
}

fresh_tree
scripts/check-floors > "$work/said" 2>&1
ok $? a_sound_tree_passes
finds vmm/base/base.h '#include "vmm/core/core.h"' 'of floor 1' a_lower_floor_may_not_include_a_higher_one
finds devices/backend/disk.h '#include "devices/virtio/virtio.h"' 'of the same floor' backends_do_not_know_who_uses_them
finds vmm/core/core.c '#include "vmm/config/config.h"' 'of the same floor' configuration_and_mechanism_do_not_see_each_other
finds devices/devices.c '#include "vmm/kvm/kvm.h"' 'of floor 3' devices_do_not_see_kvm
finds vmm/lib/lib.c '#include "bench/bench.h"' 'of floor 9' nobody_sees_the_laboratory
finds vmm/cli/main.c '#include "bench/bench.h"' '<vireo.h>' nor_does_the_command_line
finds bench/bench.h '#include "vmm/machine/runner.h"' 'lab.h only' the_laboratory_enters_a_machine_by_its_door
finds vmm/core/core.c '#include "core.h"' 'from the top' includes_are_written_from_the_top
finds vmm/cli/main.c '#include "vmm/core/core.h"' '<vireo.h>, vmm/base' the_command_line_sees_the_library_and_base_only
finds vmm/lib/lib.c 'int make(void) { return pthread_create(0, 0, 0, 0); }' 'thread_make()' threads_are_made_in_one_place
finds vmm/machine/runner.c '#include "arch/x86/struct_arch.h"' 'only arch/x86' nobody_looks_behind_arch_h
finds arch/x86/x86.c '#include "arch/arm64/arm64.h"' 'only arch/arm64' architectures_do_not_see_each_other
finds vmm/core/core.c '#include <vireo.h>' 'public interface' floors_below_the_library_do_not_know_it
finds vmm/machine/machine.c '# include <linux/kvm.h>' 'speak to KVM' kvm_is_spoken_to_in_few_places
finds vmm/lib/lib.c '#if defined(__aarch64__)' 'arch/ is for' the_architecture_is_not_asked_for_outside_arch
finds devices/devices.c 'int f(void) { return open("x", 0); }' 'may be 0, 1 or 2' descriptors_stay_out_of_the_way_of_the_standard_ones
finds vmm/core/gmem.h 'uint9_t x;' 'compile alone' headers_compile_alone

# check-symbols on a library of one function, built here.
fresh_tree
mkdir -p build
library() { # C-TEXT
    echo "$1" > lib.c
    cc -c -fPIC -o build/lib.o lib.c && ar rcs build/libvireo.a build/lib.o && cc -shared -Wl,-soname,libvireo.so.7.1 -o build/libvireo.so build/lib.o
    scripts/check-symbols library build > "$work/said" 2>&1
}
printf '#define VIREO_VERSION "7.1.3"\nVIREO_API int vireo_one(int a);\n' > include/vireo.h
mkdir -p mk
echo 'VIREO_7.1 {' > mk/libvireo.map
library 'int vireo_one(int a) { return a; }'
ok $? a_library_of_what_is_declared_passes
library 'int vireo_one(int a) { return a; } int stray(void) { return 0; }'
[ $? = 1 ] && grep -q 'libvireo.a has stray' "$work/said" && grep -q 'libvireo.so has stray' "$work/said"
ok $? a_name_that_is_not_declared_is_found
library 'int vireo_two(int a) { return a; }'
[ $? = 1 ] && grep -q 'libvireo.so lacks vireo_one' "$work/said"
ok $? a_declared_function_that_is_missing_is_found
sed -i 's/7[.]1/7.2/' include/vireo.h
library 'int vireo_one(int a) { return a; }'
[ $? = 1 ] && grep -q 'vireo.h is version 7.2.x' "$work/said"
ok $? an_interface_of_another_minor_version_has_another_soname

# on what it is linked with
linked() { # C-TEXT LINKER-OPTION...
    library "$1"
    echo "$1" | cc "${@:2}" -fPIC -shared -x c -o build/libvireo.so -
    echo 'int main(void) { return 0; }' | tee main.c | cc -x c -o build/vireo - && cp build/vireo build/vireo-bench
    scripts/check-symbols linked build jansson > "$work/said" 2>&1
}
linked 'void *json_true(void); void *vireo_one(int a) { return a ? json_true() : 0; }' -ljansson
ok $? a_library_that_is_called_passes
linked 'int vireo_one(int a) { return a; }' -Wl,--no-as-needed -ljansson
[ $? = 1 ] && grep -q 'linked with -ljansson and calls nothing' "$work/said" && grep -q 'libvireo.so needs libjansson.so.4 and calls' "$work/said"
ok $? a_library_that_nobody_calls_is_found

# and on two architectures
arch() { # X86-TEXT ARM64-TEXT
    echo "$1" > arch/x86/x86.c
    echo "$2" > arch/arm64/arm64.c
    mkdir -p build/obj/arch/{x86,arm64}
    cc -c -o build/obj/arch/x86/x86.o arch/x86/x86.c && cc -c -o build/obj/arch/arm64/arm64.o arch/arm64/arm64.c
    scripts/check-symbols arch build > "$work/said" 2>&1
}
printf 'int arch_go(int a);\nextern const int arch_info;\n' > arch/arch.h
: > bench/arch/arch.h
both='const int arch_info = 1; int arch_go(int a) { return a; }'
arch "$both int x86_own(void) { return 0; }" "$both"
ok $? architectures_with_the_same_names_pass
arch "$both" 'const int arch_info = 1;'
[ $? = 1 ] && grep -q 'arch/arm64 lacks arch_go' "$work/said"
ok $? a_name_one_architecture_lacks_is_found
arch "$both" "$both int arch_more(void) { return 0; }"
[ $? = 1 ] && grep -q 'arch/arm64 has arch_more' "$work/said"
ok $? a_name_only_one_architecture_has_is_found
echo "1..$n"
