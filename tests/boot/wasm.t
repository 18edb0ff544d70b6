#!/bin/bash
# WebAssembly modules as programs: what `vireo wasm` makes of them does natively what the module says, whatever the module wants. The modules are
# built by clang with wasi-libc, or written as text. Only the last part, which runs them in the sandbox, needs /dev/kvm.
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
TREE=$PWD
VIREO=$PWD/build/vireo
RUN_LIMIT_S=120         # a translation takes two seconds on a machine that has nothing else to do
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
mkdir tmp
export TMPDIR=$work/tmp XDG_CACHE_HOME=$work/cache

# from_c NAME, from_wat NAME: the module tests/wasm/NAME as ./NAME.wasm, and the program ./NAME.
from_c() { clang --target=wasm32-wasi -O2 -o "$1.wasm" "$TREE/tests/wasm/$1.c" -lm && ends 0 wasm "$1.wasm" -o "$1"; }
from_wat() { wat2wasm "$TREE/tests/wasm/$1.wat" -o "$1.wasm" && ends 0 wasm "$1.wasm" -o "$1"; }
# prints STATUS TEXT COMMAND...: it ends with that status, and its output and errors have this line.
prints() {
    local want=$1 text=$2 got=0
    shift 2
    timeout 60 "$@" > said 2>&1 || got=$?
    [ $got = "$want" ] && grep -qxF -- "$text" said || { echo "$*: status $got, not $want with \"$text\""; cat said; return 1; }
}
refuses() {
    local status=$1 text=$2
    shift 2
    ends "$status" wasm "$@" || return 1
    [ ! -s out ] && head -n 1 err | grep -qF -- "$text" || { echo "no \"$text\" in"; cat err; return 1; }
}
nothing_left() { [ -z "$(ls tmp)" ] || { ls tmp; return 1; }; }

arguments_and_environment() {
    from_c hello && nothing_left || return 1
    export WORD=abc VIREO_PREOPEN=
    prints 3 "argument 2: two words" ./hello one "two words" && grep -qx "WORD=abc preopen=hidden" said && grep -qx "to standard error" said
}
exports_are_functions() {
    nm hello | awk '$2 == "T" { print $3 }' | LC_ALL=C sort > symbols
    printf '%s\n' _start add buffer.2daddress half vireo_wasm_memory vireo_wasm_memory_size | diff - symbols
}
files_below_what_is_given() {
    from_c files && mkdir -p given/dir || return 1
    prints 0 "files are as they must be" ./files dir-of-here && return 1
    VIREO_PREOPEN=$work/given prints 0 "files are as they must be" ./files "$work/given/dir" &&
        VIREO_PREOPEN=$work/given=/data prints 0 "files are as they must be" ./files /data/dir &&
        (cd given && prints 0 "files are as they must be" ../files dir && prints 0 "files are as they must be" ../files "$work/given/dir") &&
        ! VIREO_PREOPEN=$work/given=/data ./files "$work/given/dir" && ! VIREO_PREOPEN='' ./files "$work/given/dir" && [ -z "$(ls given/dir)" ]
}
time_and_chance() { from_c time && prints 0 "time passes, chance is blind" ./time "$(date +%s)" < "$TREE/tests/wasm/time.c"; }
sums_are_native() {
    from_c compute && gcc -O2 -ffp-contract=off -o native "$TREE/tests/wasm/compute.c" -lm || return 1
    [ "$(./compute 2)" = "$(./native 2)" ]
}
traps_have_names() {
    from_wat traps || return 1
    local oob="out of bounds memory or table access" call="indirect call type mismatch, or no function there" name args=()
    for name in unreachable "$oob" "$oob" "integer divide by zero" "integer overflow" "invalid conversion to integer" "$call" "$call" "$call" \
        "call stack exhausted"; do
        prints 134 "traps: wasm trap: $name" ./traps "${args[@]}" && [ "$(wc -l < said)" = 1 ] || return 1
        args+=(more)
    done
    (ulimit -s unlimited && prints 134 "traps: wasm trap: call stack exhausted" ./traps "${args[@]:1}")
}
# hostile_modules_trap COMMAND...: each way of tests/wasm/hostile.wat, as COMMAND runs it, ends with the trap that it is.
hostile_modules_trap() {
    local oob="out of bounds memory or table access" call="indirect call type mismatch, or no function there" name args=()
    local program=${*: -1}
    for name in "$oob" "$oob" "$oob" "$oob" "$oob" "$oob" "$call" "$call" "call stack exhausted" "call stack exhausted"; do
        prints 134 "${program##*/}: wasm trap: $name" "$@" "${args[@]}" && [ "$(wc -l < said)" = 1 ] || return 1
        args+=(more)
    done
}
hostile_programs_trap() { from_wat hostile && hostile_modules_trap ./hostile; }
# What goes wrong before any of the module's functions is called: trap NAME MODULE.
begins_with() {
    echo "$2" > begin.wat && wat2wasm begin.wat && ends 0 wasm begin.wasm -o begin && prints 134 "begin: wasm trap: $1" ./begin && [ "$(wc -l < said)" = 1 ]
}
beginnings_trap() {
    local oob="out of bounds memory or table access" room="no room for the memory or table that the module begins with"
    begins_with "$oob" '(module (memory 1) (data (i32.const 65535) "ab") (func (export "_start")))' &&
        begins_with "$oob" '(module (table 1 funcref) (elem (i32.const 1) $f) (func $f) (func (export "_start")))' &&
        begins_with "$room" '(module (table 10000001 funcref) (func (export "_start")))' &&
        begins_with "$room" '(module (table 0xffffffff externref) (func (export "_start")))' &&
        begins_with unreachable '(module (func $s unreachable) (start $s) (func (export "_start")))'
}
hostile_calls_get_errnos() {
    from_wat wasi && mkdir -p given/dir || return 1
    local status=0
    VIREO_PREOPEN=$work/given=/ ./wasi > said 2>&1 || status=$?
    [ $status = 0 ] && [ ! -s said ] && [ -z "$(ls given/dir)" ] || { echo "check $status"; cat said; return 1; }
}
cxx_works() {
    clang++ --target=wasm32-wasi -O2 -fno-exceptions -o words.wasm "$TREE/tests/wasm/words.cc" && ends 0 wasm words.wasm -o words &&
        ./words b a b > said && printf '%s\n' "a 1" "b 2" "area 14" "after main" | diff - said
}
names_are_no_code() {
    from_wat names && nothing_left && [ ! -e /tmp/elsewhere ] || return 1
    nm names | awk '$2 == "T" { print $3 }' | LC_ALL=C sort > symbols
    printf '%s\n' . .2a.2f.0a.23include.20.22.2fetc.2fpasswd.22.0a.2f.2a .2do.20.2ftmp.2felsewhere.3b.20.24.28id.29 .30 .76ireo_wasm_memory main malloc \
        memcpy plain_name9 vireo_wasm_memory vireo_wasm_memory_size | LC_ALL=C sort | diff - symbols && prints 0 "" ./names 2> /dev/null || [ ! -s said ]
}
same_module_same_program() { ends 0 wasm hello.wasm -o again && cmp hello again; }

# ---- what is no module for us

bad_modules_are_named() {
    cp hello.wasm whole
    head -c 6 whole > short && refuses 126 "short: the WebAssembly module is cut short at byte 4" short -o bad &&
        head -c 300 whole > "cut" && refuses 126 "cut: the WebAssembly module is cut short" cut -o bad &&
        refuses 126 "no WebAssembly module" "$TREE/tests/wasm/hello.c" -o bad &&
        refuses 127 "absent.wasm: No such file" absent.wasm -o bad && refuses 126 "Is a directory" tmp -o bad &&
        printf '\0asm\x0d\0\1\0' > component && refuses 126 "version 0x1000d" component -o bad && grep -q component err && [ ! -e bad ] && nothing_left
}
foreign_imports_are_named() {
    local import="(import \"env\" \"print\" (func (param i32)))"
    echo "(module $import)" > f.wat && wat2wasm f.wat && refuses 126 'imports "print" of "env"' f.wasm -o bad || return 1
    echo '(module (import "wasi_snapshot_preview1" "memory" (memory 1)))' > f.wat && wat2wasm f.wat && refuses 126 'imports "memory"' f.wasm -o bad || return 1
    echo '(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32))))' > f.wat && wat2wasm f.wat &&
        refuses 126 'imports "fd_write" with a type that is not WASI' f.wasm -o bad && [ ! -e bad ]
}
invalid_code_is_told() {
    echo '(module (func (result i32) i64.const 0))' > f.wat && wat2wasm --no-check f.wat && refuses 126 "wasm2c refuses it: " f.wasm -o bad || return 1
    nothing_left
}
# beyond HINT MODULE: wasm2c doesn't know what the module has, and the hint says how to do without.
beyond() {
    echo "$2" > f.wat && wat2wasm --enable-all f.wat && ends 126 wasm f.wasm -o bad && [ "$(wc -l < err)" = 2 ] && grep -qF -- "$1" err ||
        { echo "no \"$1\""; cat err; return 1; }
}
what_is_beyond_wasm2c_is_told() {
    echo 'float sum[64]; int main(int argc, char **argv) { for (int i = 0; i < 64; i++) sum[i] = sum[i] * 3 + (float)argc; return (int)sum[9]; }' > simd.c
    clang --target=wasm32-wasi -O3 -msimd128 -o simd.wasm simd.c && ends 126 wasm simd.wasm -o bad && grep -q msimd128 err &&
        beyond -msimd128 '(module (func (export "f") (result v128) (v128.const i64x2 0 0)))' &&
        beyond wasm32 '(module (memory i64 1))' && beyond -pthread '(module (memory 1 1 shared))' &&
        beyond -pthread '(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))' &&
        beyond -mtail-call '(module (func $f (return_call $f)))' && beyond -fno-exceptions '(module (func try nop catch_all end))' &&
        beyond -fno-exceptions '(module (tag $e) (func (throw $e)))' && [ ! -e bad ] && nothing_left
}
bad_command_lines() {
    refuses 125 "no module named" -o x && refuses 125 "no output named" hello.wasm && refuses 125 "one module at a time" hello.wasm b.wasm -o x &&
        refuses 125 "it is there, and no file" hello.wasm -o tmp && refuses 125 "the module itself" hello.wasm -o ./hello.wasm &&
        refuses 125 "output nowhere/x" hello.wasm -o nowhere/x && refuses 125 "no file" hello.wasm -o /dev/null && [ -c /dev/null ] && nothing_left
}
# without PROGRAM TEXT HINT: where PATH has only the other one.
without() {
    local status=0
    rm -rf bin && mkdir bin && ln -s "$(command -v gcc)" "$(command -v wasm2c)" bin && rm "bin/$1" || return 1
    env PATH="$work/bin" "$VIREO" wasm hello.wasm -o bad 2> err || status=$?
    [ $status = 126 ] && grep -qF "$2" err && grep -qF "$3" err && [ ! -e bad ] || { echo "$status"; cat err; return 1; }
}
missing_tools_are_named() {
    without wasm2c "needs wasm2c" "apt-get install wabt" && without gcc "needs gcc" "apt-get install gcc" && nothing_left
}
a_signal_leaves_nothing() {
    # A compiler that takes its time.
    printf '#!/bin/sh\ntouch %s/asked\nsleep 100\n' "$work" > slow && chmod +x slow
    "$VIREO" wasm hello.wasm -o slowly --cc ./slow > out 2> err &
    local pid=$! status=0 tries=0
    until [ -e asked ] || [ $((tries += 1)) -gt 600 ]; do sleep 0.1; done
    kill -TERM $pid
    wait $pid || status=$?
    [ $status = 143 ] && grep -q 'signal 15' err && [ ! -e slowly ] && nothing_left
}

# ---- the cache

cached() { ends 0 wasm --cached "$@" && cat out; }
cache_is_ones_own() {
    local path
    path=$(cached traps.wasm) && [ "$(stat -c %a cache/vireo)" = 700 ] && prints 134 "${path##*/}: wasm trap: unreachable" "$path" || return 1
    local made
    made=$(stat -c '%i %Y' "$path")
    [ "$(cached traps.wasm)" = "$path" ] && [ "$(stat -c '%i %Y' "$path")" = "$made" ] && [ "$(ls cache/vireo)" = "${path##*/}" ] || return 1
    chmod 755 cache/vireo && refuses 125 "mode 0755" --cached traps.wasm && chmod 700 cache/vireo
}
damage_is_found() {
    local path
    path=$(cached traps.wasm) || return 1
    cp "$path" whole
    printf X | dd of="$path" bs=1 seek=5000 conv=notrunc status=none && [ "$(cached traps.wasm)" = "$path" ] && cmp "$path" whole || return 1
    truncate -s 20 "$path" && [ "$(cached traps.wasm)" = "$path" ] && cmp "$path" whole || return 1
    # The entry of another module under this one's name.
    cp "$(cached names.wasm)" "$path" && [ "$(cached traps.wasm)" = "$path" ] && cmp "$path" whole
}
another_compiler_is_another_program() {
    printf '#!/bin/sh\necho run >> %s/runs\nexec gcc "$@"\n' "$work" > other && chmod +x other
    [ "$(cached traps.wasm --cc ./other)" != "$(cached traps.wasm)" ] && [ -s runs ]
}
two_at_once_make_one() {
    rm -rf cache runs
    local i
    for i in 1 2 3; do "$VIREO" wasm --cached traps.wasm --cc ./other > out.$i 2>&1 & done
    wait
    # Once to compile and link, once to ask for objcopy.
    [ "$(wc -l < runs)" = 2 ] && [ "$(sort -u out.* | wc -l)" = 1 ] && [ "$(ls cache/vireo | wc -l)" = 1 ]
}

# entry NAME SIZE DAYS: a file in the cache, sparse, last used so many days ago.
entry() { truncate -s "$2" "cache/vireo/$1" && touch -a -d "$3 days ago" "cache/vireo/$1"; }
there() { [ "$(ls cache/vireo)" = "$(printf '%s\n' "$@" | LC_ALL=C sort)" ] || { ls -l cache/vireo; return 1; }; }
a_use_is_kept_in_mind() {
    local path
    path=$(cached traps.wasm) && touch -a -d "10 days ago" "$path" && [ "$(cached traps.wasm)" = "$path" ] &&
        [ $(($(date +%s) - $(stat -c %X "$path"))) -lt 600 ]
}
the_cache_stays_small() {
    rm -rf cache && mkdir cache && mkdir -m 700 cache/vireo && entry 00000000000000a1 200M 3 && entry 00000000000000a2 200M 2 && entry 00000000000000a3 200M 1 &&
        entry 00000000000000a4 1M 40 && entry notes.txt 2G 99 && entry 00000000000000A5 2G 99 && entry 00000000000000b6.new 1M 0 &&
        entry 00000000000000b6.lock 0 0 && ln -s "$work/hello.wasm" cache/vireo/00000000000000a7 && touch -h -a -d "50 days ago" cache/vireo/00000000000000a7 || return 1
    local path
    # 600 MB are more than there may be: the one that was used first goes, and with it what was not used in a month.
    path=$(cached traps.wasm) && there "${path##*/}" 00000000000000a2 00000000000000a3 notes.txt 00000000000000A5 && [ -e hello.wasm ]
}
what_is_in_use_stays() {
    local path bytes status=0
    rm -rf cache && path=$(cached traps.wasm) && entry 00000000000000a1 1G 99 && entry 00000000000000a2 1M 99 || return 1
    bytes=$(($(stat -c %s "$path") + 1048576))
    exec 9< cache/vireo/00000000000000a1 && flock -s 9 && ends 0 wasm --clear-cache && [ "$(cat out)" = "2 programs removed, $bytes bytes" ] &&
        there 00000000000000a1 || status=1
    exec 9<&-
    [ $status = 0 ] && ends 0 wasm --clear-cache && [ "$(cat out)" = "1 program removed, 1073741824 bytes" ] && [ -z "$(ls cache/vireo)" ] &&
        ends 0 wasm --clear-cache && [ "$(cat out)" = "0 programs removed, 0 bytes" ] || return 1
    chmod 755 cache/vireo && refuses 125 "mode 0755" --clear-cache && chmod 700 cache/vireo &&
        refuses 125 "stands alone" --clear-cache traps.wasm && refuses 125 "stands alone" --clear-cache --cached
}

# ---- in the sandbox

# confined STATUS TEXT OPTION... MODULE [ARGUMENT...]: as prints, by `vireo exec`.
confined() { prints "$1" "$2" "$VIREO" exec "${@:3}"; }
modules_run_confined() {
    confined 3 "argument 2: two words" hello.wasm one "two words" && confined 1 "WORD=given preopen=hidden" --env WORD=given hello.wasm &&
        confined 0 "time passes, chance is blind" time.wasm "$(date +%s)" < "$TREE/tests/wasm/time.c" && confined 0 "$(./native 1)" compute.wasm 1
}
confined_files_are_those_given() {
    confined 0 "files are as they must be" --write "$work/given/dir=/data" files.wasm /data && [ -z "$(ls given/dir)" ] &&
        confined 0 "files are as they must be" --write "$work/given/dir=/data" --cwd /data files.wasm . &&
        ! "$VIREO" exec --read "$work/given/dir=/data" files.wasm /data && ! "$VIREO" exec files.wasm "$work/given/dir" && [ -z "$(ls given/dir)" ]
}
confined_traps_have_names() {
    confined 134 "traps.wasm: wasm trap: unreachable" traps.wasm && confined 134 "traps.wasm: wasm trap: integer divide by zero" traps.wasm 2 3 4 &&
        confined 134 "traps.wasm: wasm trap: call stack exhausted" traps.wasm 2 3 4 5 6 7 8 9 10
}
confined_modules_are_harmless() {
    hostile_modules_trap "$VIREO" exec --timeout 20 hostile.wasm || return 1
    ends 0 exec --env A=b --write "$work/given/dir=/dir" wasi.wasm && [ -z "$(ls given/dir)" ] || return 1
    # A start function that never ends, all of the memory that there may be, and more of it than the sandbox has.
    echo '(module (func $s (loop (br 0))) (start $s) (func (export "_start")))' > f.wat && wat2wasm f.wat && ends 124 exec --timeout 300ms f.wasm || return 1
    echo '(module (memory (export "memory") 65536) (func (export "_start")))' > f.wat && wat2wasm f.wat &&
        confined 134 "f.wasm: wasm trap: no room for the memory or table that the module begins with" f.wasm || return 1
    echo '(module (memory 1) (func (export "_start") (loop $more (if (i32.ne (memory.grow (i32.const 16)) (i32.const -1)) (then
        (memory.fill (i32.mul (i32.sub (memory.size) (i32.const 16)) (i32.const 65536)) (i32.const 7) (i32.const 1048576)) (br $more))))
        (if (i32.lt_u (memory.size) (i32.const 256)) (then unreachable))))' > f.wat && wat2wasm f.wat && ends 0 exec --memory 32M f.wasm
}
# While somebody empties the cache again and again, whoever runs a module has it run.
clearing_disturbs_nobody() {
    local i bad=0 clearer runner=()
    echo '(module (func (export "_start") unreachable))' > f.wat && wat2wasm f.wat || return 1
    while [ ! -e enough ]; do "$VIREO" wasm --clear-cache > /dev/null || echo bad > disturbed; done &
    clearer=$!
    for i in 1 2; do
        for _ in 1 2 3 4 5 6; do "$VIREO" exec f.wasm; [ $? = 134 ] || echo bad > disturbed; done > runs.$i 2>&1 &
        runner+=($!)
    done
    wait "${runner[@]}"
    touch enough
    wait $clearer
    [ ! -e disturbed ] && [ "$(grep -hc unreachable runs.1)$(grep -hc unreachable runs.2)" = 66 ] || bad=1
    cat runs.1 runs.2
    return $bad
}
exec_says_what_is_no_module() {
    local status=0
    "$VIREO" exec cut > said 2>&1 || status=$?
    [ $status = 126 ] && [ "$(wc -l < said)" = 1 ] && grep -q "cut: the WebAssembly module is cut short" said
}

check "a module gets its arguments and environment, and its status is the program's" arguments_and_environment
check "exported functions are the program's only symbols, with their names" exports_are_functions
check "files work below the directories that are given, and nowhere else" files_below_what_is_given
check "clocks, sleeping, waiting and random numbers work" time_and_chance
check "what is computed is what the native program computes" sums_are_native
check "a trap ends the program with its name and status 134" traps_have_names
check "hostile instructions end with their trap" hostile_programs_trap
check "a module that can't begin ends with its trap" beginnings_trap
check "hostile calls of WASI get an errno, and change nothing" hostile_calls_get_errnos
check "C++ works: containers, streams, virtual functions, what is before and after main" cxx_works
check "no name in a module becomes C code, a command's word, or takes libc's place" names_are_no_code
check "the same module gives the same program" same_module_same_program
check "what is no module is refused with what is wrong" bad_modules_are_named
check "imports that are not WASI's are named" foreign_imports_are_named
check "a module that wasm2c refuses says why" invalid_code_is_told
check "what wasm2c does not know is told, with how to build without it" what_is_beyond_wasm2c_is_told
check "a bad command line is told" bad_command_lines
check "a missing tool is named, with the package it is in" missing_tools_are_named
check "a signal ends the compiler and leaves nothing behind" a_signal_leaves_nothing
check "the cache is the user's own and is used again" cache_is_ones_own
check "a damaged or foreign entry of the cache is made anew" damage_is_found
check "another compiler makes another entry" another_compiler_is_another_program
check "processes that want the same module at once translate it once" two_at_once_make_one
check "the cache knows when an entry was used last" a_use_is_kept_in_mind
check "the cache stays small: what was used least recently goes, and nothing that is not its own" the_cache_stays_small
check "--clear-cache removes what is not in use" what_is_in_use_stays
if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
    check "vireo exec runs modules: arguments, environment, clocks, the native sums" modules_run_confined
    check "a confined module's files are those it is given" confined_files_are_those_given
    check "a confined module's trap has its name" confined_traps_have_names
    check "a confined module that is hostile ends with a trap, an errno or a limit" confined_modules_are_harmless
    check "emptying the cache disturbs nobody who runs a module" clearing_disturbs_nobody
    check "vireo exec says what is wrong with a module" exec_says_what_is_no_module
else
    skip "vireo exec runs modules" "no usable /dev/kvm on this machine"
fi
tap_done
