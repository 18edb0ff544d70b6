;; An allocator that gives whatever number was set last, and a function with bytes that writes what it is told.
(module
  (memory (export "memory") 1)
  (global $at (mut i32) (i32.const 0))
  (func (export "set") (param i32) (global.set $at (local.get 0)))
  (func (export "malloc") (param i32) (result i32) (global.get $at))
  (func (export "free") (param i32))
  (func (export "answer") (param $in i32) (param $in_size i32) (param $out i32) (param $out_size i32) (result i64)
    (i64.load (local.get $in)))
  ;; Not the type of a function with bytes: it takes numbers.
  (func (export "three") (param i32 i32 i32) (result i64) (i64.extend_i32_u (local.get 2))))
