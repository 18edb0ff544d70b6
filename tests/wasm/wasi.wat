;; Calls of WASI with what a hostile module could give: addresses at the end of memory and beyond, lists that lie over
;; each other, numbers of no descriptor, paths that are none. The exit status is the first check that is not so, or 0.
;; It has one page of memory and some environment; descriptor 3 is "/", and "/dir" can be written to.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell" (func $fd_tell (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_allocate" (func $fd_allocate (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_advise" (func $fd_advise (param i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $fd_filestat_set_size (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_times" (func $set_times (param i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $set_flags (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_rights" (func $set_rights (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink_file (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 256) "dir/new\00dir\00a\00b\00/etc/passwd\00../x\00dir/../../x\00")
  (global $file (mut i32) (i32.const 0))

  (func $is (param $check i32) (param $want i32) (param $got i32)
    (if (i32.ne (local.get $want) (local.get $got)) (then (call $proc_exit (local.get $check)))))
  (func $piece (param $at i32) (param $address i32) (param $len i32)
    (i32.store (local.get $at) (local.get $address))
    (i32.store offset=4 (local.get $at) (local.get $len)))
  ;; Open a path of the data with oflags; the descriptor goes to address 0.
  (func $open (param $at i32) (param $len i32) (param $oflags i32) (result i32)
    (call $path_open (i32.const 3) (i32.const 1) (local.get $at) (local.get $len) (local.get $oflags)
      (i64.const 0x3fffffff) (i64.const 0) (i32.const 0) (i32.const 0)))

  (func $lists
    ;; The list itself, a piece, or the place of the answer is not there.
    (call $is (i32.const 10) (i32.const 21) (call $fd_write (global.get $file) (i32.const 65532) (i32.const 1) (i32.const 0)))
    (call $piece (i32.const 16) (i32.const 65535) (i32.const 2))
    (call $is (i32.const 11) (i32.const 21) (call $fd_write (global.get $file) (i32.const 16) (i32.const 1) (i32.const 0)))
    (call $piece (i32.const 16) (i32.const -1) (i32.const -1))
    (call $is (i32.const 12) (i32.const 21) (call $fd_write (global.get $file) (i32.const 16) (i32.const 1) (i32.const 0)))
    (call $is (i32.const 13) (i32.const 21) (call $fd_write (global.get $file) (i32.const 16) (i32.const -1) (i32.const 0)))
    (call $piece (i32.const 16) (i32.const 256) (i32.const 4))
    (call $is (i32.const 14) (i32.const 21) (call $fd_write (global.get $file) (i32.const 16) (i32.const 1) (i32.const 65533)))
    (call $is (i32.const 15) (i32.const 0) (call $fd_tell (global.get $file) (i32.const 8)))
    (call $is (i32.const 16) (i32.const 0) (i32.load (i32.const 8)))
    ;; Pieces over each other and over the list, and the answer over the list: all of it is the module's own.
    (call $piece (i32.const 16) (i32.const 16) (i32.const 8))
    (call $piece (i32.const 24) (i32.const 20) (i32.const 8))
    (call $is (i32.const 17) (i32.const 0) (call $fd_write (global.get $file) (i32.const 16) (i32.const 2) (i32.const 24)))
    (call $is (i32.const 18) (i32.const 16) (i32.load (i32.const 24)))
    ;; A read that overwrites its own list.
    (call $is (i32.const 19) (i32.const 0) (call $fd_seek (global.get $file) (i64.const 0) (i32.const 0) (i32.const 8)))
    (call $piece (i32.const 32) (i32.const 32) (i32.const 8))
    (call $piece (i32.const 40) (i32.const 32) (i32.const 8))
    (call $is (i32.const 20) (i32.const 0) (call $fd_read (global.get $file) (i32.const 32) (i32.const 2) (i32.const 36)))
    (call $is (i32.const 21) (i32.const 16) (i32.load (i32.const 36)))
    ;; A list that ends with memory, of a piece of no bytes that is at its end.
    (call $piece (i32.const 65528) (i32.const 65536) (i32.const 0))
    (call $is (i32.const 22) (i32.const 0) (call $fd_write (global.get $file) (i32.const 65528) (i32.const 1) (i32.const 0))))

  (func $numbers
    (call $is (i32.const 30) (i32.const 8) (call $fd_close (i32.const -1)))
    (call $is (i32.const 31) (i32.const 8) (call $fd_close (i32.const 1024)))
    (call $is (i32.const 32) (i32.const 8) (call $fd_tell (i32.const 0x80000000) (i32.const 0)))
    (call $is (i32.const 33) (i32.const 8) (call $fd_renumber (global.get $file) (i32.const 99999)))
    (call $is (i32.const 34) (i32.const 58) (call $fd_renumber (global.get $file) (i32.const 3)))
    (call $is (i32.const 35) (i32.const 28) (call $fd_seek (global.get $file) (i64.const 0) (i32.const 9) (i32.const 0)))
    (call $is (i32.const 36) (i32.const 28) (call $fd_seek (global.get $file) (i64.const -1) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 37) (i32.const 21) (call $fd_seek (global.get $file) (i64.const 0) (i32.const 0) (i32.const 65529)))
    (call $is (i32.const 38) (i32.const 28) (call $fd_filestat_set_size (global.get $file) (i64.const -1)))
    (call $is (i32.const 39) (i32.const 28) (call $set_times (global.get $file) (i64.const 0) (i64.const 0) (i32.const 15)))
    (call $is (i32.const 40) (i32.const 58) (call $set_flags (global.get $file) (i32.const 0xffff)))
    (call $is (i32.const 41) (i32.const 28) (call $fd_advise (global.get $file) (i64.const 0) (i64.const 0) (i32.const 99)))
    (call $piece (i32.const 16) (i32.const 256) (i32.const 4))
    (call $is (i32.const 42) (i32.const 28)
      (call $fd_pwrite (global.get $file) (i32.const 16) (i32.const 1) (i64.const -1) (i32.const 0)))
    (call $is (i32.const 43) (i32.const 28) (call $fd_allocate (global.get $file) (i64.const -1) (i64.const -1)))
    (call $is (i32.const 44) (i32.const 28) (call $clock_time_get (i32.const 99) (i64.const 0) (i32.const 0)))
    (call $is (i32.const 45) (i32.const 58) (call $sock_accept (i32.const 0) (i32.const 0) (i32.const 0))))

  (func $addresses
    (call $is (i32.const 50) (i32.const 21) (call $random_get (i32.const 65535) (i32.const 2)))
    (call $is (i32.const 51) (i32.const 21) (call $random_get (i32.const 0) (i32.const -1)))
    (call $is (i32.const 52) (i32.const 0) (call $random_get (i32.const 65536) (i32.const 0)))
    (call $is (i32.const 53) (i32.const 21) (call $args_get (i32.const 65534) (i32.const 0)))
    (call $is (i32.const 54) (i32.const 21) (call $args_get (i32.const 0) (i32.const 65535)))
    (call $is (i32.const 55) (i32.const 21) (call $args_sizes_get (i32.const 65533) (i32.const 0)))
    (call $is (i32.const 56) (i32.const 21) (call $environ_get (i32.const -1) (i32.const -1)))
    (call $is (i32.const 57) (i32.const 21) (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 65529)))
    (call $is (i32.const 58) (i32.const 21) (call $fd_filestat_get (global.get $file) (i32.const 65473)))
    (call $is (i32.const 59) (i32.const 21) (call $fd_readdir (i32.const 3) (i32.const 65535) (i32.const 2) (i64.const 0) (i32.const 0)))
    (call $is (i32.const 60) (i32.const 21) (call $fd_prestat_dir_name (i32.const 3) (i32.const 65536) (i32.const 1)))
    (call $is (i32.const 61) (i32.const 37) (call $fd_prestat_dir_name (i32.const 3) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 62) (i32.const 28) (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 63) (i32.const 21) (call $poll_oneoff (i32.const 65500) (i32.const 0) (i32.const 1) (i32.const 0)))
    (call $is (i32.const 64) (i32.const 21) (call $poll_oneoff (i32.const 0) (i32.const 65520) (i32.const 1) (i32.const 0)))
    (call $is (i32.const 65) (i32.const 28) (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0))))

  (func $paths
    (call $is (i32.const 70) (i32.const 28) (call $open (i32.const 268) (i32.const 3) (i32.const 0))) ;; "a\0b"
    (call $is (i32.const 71) (i32.const 21) (call $open (i32.const 65534) (i32.const 3) (i32.const 0)))
    (call $is (i32.const 72) (i32.const 21) (call $open (i32.const 256) (i32.const -1) (i32.const 0)))
    (call $is (i32.const 73) (i32.const 37) (call $open (i32.const 256) (i32.const 5000) (i32.const 0)))
    (call $is (i32.const 74) (i32.const 44) (call $open (i32.const 256) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 75) (i32.const 76) (call $open (i32.const 272) (i32.const 11) (i32.const 0))) ;; /etc/passwd
    (call $is (i32.const 76) (i32.const 76) (call $open (i32.const 284) (i32.const 4) (i32.const 0))) ;; ../x
    (call $is (i32.const 77) (i32.const 76) (call $open (i32.const 289) (i32.const 11) (i32.const 0))) ;; dir/../../x
    (call $is (i32.const 78) (i32.const 28) (call $open (i32.const 264) (i32.const 3) (i32.const 0xff)))
    (call $is (i32.const 79) (i32.const 28) ;; a link to "a\0b"
      (call $path_symlink (i32.const 268) (i32.const 3) (i32.const 3) (i32.const 256) (i32.const 6)))
    (call $is (i32.const 80) (i32.const 21) ;; no place for the descriptor
      (call $path_open (i32.const 3) (i32.const 0) (i32.const 264) (i32.const 3) (i32.const 0) (i64.const 2) (i64.const 0)
        (i32.const 0) (i32.const 65533)))
    ;; Below a file, which has no rights to hand on.
    (call $is (i32.const 81) (i32.const 76)
      (call $path_open (global.get $file) (i32.const 0) (i32.const 264) (i32.const 3) (i32.const 0) (i64.const 2) (i64.const 0)
        (i32.const 0) (i32.const 0))))

  (func $rights
    ;; Fewer rights are for good.
    (call $is (i32.const 90) (i32.const 0) (call $set_rights (global.get $file) (i64.const 2) (i64.const 0)))
    (call $is (i32.const 91) (i32.const 76) (call $set_rights (global.get $file) (i64.const 66) (i64.const 0)))
    (call $is (i32.const 92) (i32.const 76) (call $fd_write (global.get $file) (i32.const 16) (i32.const 1) (i32.const 0)))
    ;; As many descriptors as there are.
    (loop $more (br_if $more (i32.eqz (call $open (i32.const 264) (i32.const 3) (i32.const 2)))))
    (call $is (i32.const 93) (i32.const 33) (call $open (i32.const 264) (i32.const 3) (i32.const 2)))
    (call $is (i32.const 94) (i32.const 0) (call $fd_close (i32.const 100)))
    (call $is (i32.const 95) (i32.const 0) (call $open (i32.const 264) (i32.const 3) (i32.const 2)))
    (call $is (i32.const 96) (i32.const 100) (i32.load (i32.const 0)))
    ;; Without its directory there is no way to one.
    (call $is (i32.const 97) (i32.const 0) (call $fd_close (i32.const 3)))
    (call $is (i32.const 98) (i32.const 8) (call $open (i32.const 264) (i32.const 3) (i32.const 2))))

  (func (export "_start")
    (call $is (i32.const 1) (i32.const 0) (call $open (i32.const 256) (i32.const 7) (i32.const 9)))
    (global.set $file (i32.load (i32.const 0)))
    (call $lists)
    (call $numbers)
    (call $addresses)
    (call $paths)
    (call $is (i32.const 2) (i32.const 0) (call $path_unlink_file (i32.const 3) (i32.const 256) (i32.const 7)))
    (call $rights)))
