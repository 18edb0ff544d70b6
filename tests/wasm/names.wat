;; Names that would be C, a command's word, libc's or Vireo's own.
(module
  (memory (export "*/ int injected; /*") 1)
  (func $evil (export "*/\n#include \"/etc/passwd\"\n/*") (result i32) (i32.const 1))
  (func (export "malloc") (param i32) (result i32) (i32.const 0))
  (func (export "memcpy") (param i32 i32 i32) (result i32) unreachable)
  (func (export "main") unreachable)
  (func (export "-o /tmp/elsewhere; $(id)") (result f64) (f64.const 1))
  (func (export "vireo_wasm_memory") unreachable)
  (func (export "0") unreachable)
  (func (export "") unreachable)
  (func (export "pair") (result i32 i32) (i32.const 1) (i32.const 2))
  (func (export "plain_name9") (param i32 i64 f32 f64) (result f32) (local.get 2)))
