graphflow-text 1
graph "golden" {
  symbol batch
  %x: float32[batch, 3] = placeholder() @ "golden_models.py":43
  %layer/w: float32[3, 2] = variable(initializer=init.value(array=float32[3, 2]@weights["layer/w"]), trainable=true) @ "golden_models.py":44
  %table: float32[100] = constant(value=float32[100]@weights["table:value"]) @ "golden_models.py":45
  %hidden: float32[batch, 2] = matmul(%x, %layer/w) @ "golden_models.py":46
  %softmax: float32[batch, 2] = softmax(%hidden, axis=1) @ "golden_models.py":47
  %sum: float32[] = sum(%table, axis=[0], keepdims=false) @ "golden_models.py":48
  %sum_1: float32[] = sum(%hidden, axis=[0, 1], keepdims=false) @ "golden_models.py":48
  %add: float32[] = add(%sum, %sum_1) @ "golden_models.py":48
  %all/bool: bool[2, 3] = variable(initializer=init.value(array=bool[2, 3]@weights["all/bool"]), trainable=true) @ "golden_models.py":49
  %all/uint8: uint8[2, 3] = variable(initializer=init.value(array=uint8[2, 3]@weights["all/uint8"]), trainable=true) @ "golden_models.py":49
  %all/int8: int8[2, 3] = variable(initializer=init.value(array=int8[2, 3]@weights["all/int8"]), trainable=true) @ "golden_models.py":49
  %all/uint16: uint16[2, 3] = variable(initializer=init.value(array=uint16[2, 3]@weights["all/uint16"]), trainable=true) @ "golden_models.py":49
  %all/int16: int16[2, 3] = variable(initializer=init.value(array=int16[2, 3]@weights["all/int16"]), trainable=true) @ "golden_models.py":49
  %all/uint32: uint32[2, 3] = variable(initializer=init.value(array=uint32[2, 3]@weights["all/uint32"]), trainable=true) @ "golden_models.py":49
  %all/int32: int32[2, 3] = variable(initializer=init.value(array=int32[2, 3]@weights["all/int32"]), trainable=true) @ "golden_models.py":49
  %all/uint64: uint64[2, 3] = variable(initializer=init.value(array=uint64[2, 3]@weights["all/uint64"]), trainable=true) @ "golden_models.py":49
  %all/int64: int64[2, 3] = variable(initializer=init.value(array=int64[2, 3]@weights["all/int64"]), trainable=true) @ "golden_models.py":49
  %all/float16: float16[6] = variable(initializer=init.value(array=float16[6]@weights["all/float16"]), trainable=true) @ "golden_models.py":49
  %all/bfloat16: bfloat16[6] = variable(initializer=init.value(array=bfloat16[6]@weights["all/bfloat16"]), trainable=true) @ "golden_models.py":49
  %all/float32: float32[6] = variable(initializer=init.value(array=float32[6]@weights["all/float32"]), trainable=true) @ "golden_models.py":49
  %all/float64: float64[6] = variable(initializer=init.value(array=float64[6]@weights["all/float64"]), trainable=true) @ "golden_models.py":49
  %all/complex64: complex64[6] = variable(initializer=init.value(array=complex64[6]@weights["all/complex64"]), trainable=true) @ "golden_models.py":49
  %all/complex128: complex128[2, 3] = variable(initializer=init.value(array=complex128[2, 3]@weights["all/complex128"]), trainable=true) @ "golden_models.py":49
  %all/float8_e4m3fn: float8_e4m3fn[5] = variable(initializer=init.value(array=float8_e4m3fn[5]@weights["all/float8_e4m3fn"]), trainable=true) @ "golden_models.py":49
  %all/float8_e4m3fnuz: float8_e4m3fnuz[5] = variable(initializer=init.value(array=float8_e4m3fnuz[5]@weights["all/float8_e4m3fnuz"]), trainable=true) @ "golden_models.py":49
  %all/float8_e5m2: float8_e5m2[5] = variable(initializer=init.value(array=float8_e5m2[5]@weights["all/float8_e5m2"]), trainable=true) @ "golden_models.py":49
  %all/float8_e5m2fnuz: float8_e5m2fnuz[5] = variable(initializer=init.value(array=float8_e5m2fnuz[5]@weights["all/float8_e5m2fnuz"]), trainable=true) @ "golden_models.py":49
  %all/float8_e8m0fnu: float8_e8m0fnu[5] = variable(initializer=init.value(array=float8_e8m0fnu[5]@weights["all/float8_e8m0fnu"]), trainable=true) @ "golden_models.py":49
  %all/float6_e2m3fn: float6_e2m3fn[5] = variable(initializer=init.value(array=float6_e2m3fn[5]@weights["all/float6_e2m3fn"]), trainable=true) @ "golden_models.py":49
  %all/float6_e3m2fn: float6_e3m2fn[5] = variable(initializer=init.value(array=float6_e3m2fn[5]@weights["all/float6_e3m2fn"]), trainable=true) @ "golden_models.py":49
  %all/float4_e2m1fn: float4_e2m1fn[5] = variable(initializer=init.value(array=float4_e2m1fn[5]@weights["all/float4_e2m1fn"]), trainable=true) @ "golden_models.py":49
  %all/int4: int4[5] = variable(initializer=init.value(array=int4[5]@weights["all/int4"]), trainable=true) @ "golden_models.py":49
  %all/uint4: uint4[5] = variable(initializer=init.value(array=uint4[5]@weights["all/uint4"]), trainable=true) @ "golden_models.py":49
  %all/int2: int2[5] = variable(initializer=init.value(array=int2[5]@weights["all/int2"]), trainable=true) @ "golden_models.py":49
  %all/uint2: uint2[5] = variable(initializer=init.value(array=uint2[5]@weights["all/uint2"]), trainable=true) @ "golden_models.py":49
  %all/scalar: float32[] = variable(initializer=init.value(array=float32[]@weights["all/scalar"]), trainable=true) @ "golden_models.py":49
  %all/nothing: int64[0, 3] = variable(initializer=init.value(array=int64[0, 3]@weights["all/nothing"]), trainable=true) @ "golden_models.py":49
  %identity: bool[2, 3] = identity(%all/bool) @ "golden_models.py":55
  %identity_1: uint8[2, 3] = identity(%all/uint8) @ "golden_models.py":55
  %identity_2: int8[2, 3] = identity(%all/int8) @ "golden_models.py":55
  %identity_3: uint16[2, 3] = identity(%all/uint16) @ "golden_models.py":55
  %identity_4: int16[2, 3] = identity(%all/int16) @ "golden_models.py":55
  %identity_5: uint32[2, 3] = identity(%all/uint32) @ "golden_models.py":55
  %identity_6: int32[2, 3] = identity(%all/int32) @ "golden_models.py":55
  %identity_7: uint64[2, 3] = identity(%all/uint64) @ "golden_models.py":55
  %identity_8: int64[2, 3] = identity(%all/int64) @ "golden_models.py":55
  %identity_9: float16[6] = identity(%all/float16) @ "golden_models.py":55
  %identity_10: bfloat16[6] = identity(%all/bfloat16) @ "golden_models.py":55
  %identity_11: float32[6] = identity(%all/float32) @ "golden_models.py":55
  %identity_12: float64[6] = identity(%all/float64) @ "golden_models.py":55
  %identity_13: complex64[6] = identity(%all/complex64) @ "golden_models.py":55
  %identity_14: complex128[2, 3] = identity(%all/complex128) @ "golden_models.py":55
  %identity_15: float8_e4m3fn[5] = identity(%all/float8_e4m3fn) @ "golden_models.py":55
  %identity_16: float8_e4m3fnuz[5] = identity(%all/float8_e4m3fnuz) @ "golden_models.py":55
  %identity_17: float8_e5m2[5] = identity(%all/float8_e5m2) @ "golden_models.py":55
  %identity_18: float8_e5m2fnuz[5] = identity(%all/float8_e5m2fnuz) @ "golden_models.py":55
  %identity_19: float8_e8m0fnu[5] = identity(%all/float8_e8m0fnu) @ "golden_models.py":55
  %identity_20: float6_e2m3fn[5] = identity(%all/float6_e2m3fn) @ "golden_models.py":55
  %identity_21: float6_e3m2fn[5] = identity(%all/float6_e3m2fn) @ "golden_models.py":55
  %identity_22: float4_e2m1fn[5] = identity(%all/float4_e2m1fn) @ "golden_models.py":55
  %identity_23: int4[5] = identity(%all/int4) @ "golden_models.py":55
  %identity_24: uint4[5] = identity(%all/uint4) @ "golden_models.py":55
  %identity_25: int2[5] = identity(%all/int2) @ "golden_models.py":55
  %identity_26: uint2[5] = identity(%all/uint2) @ "golden_models.py":55
  %identity_27: float32[] = identity(%all/scalar) @ "golden_models.py":55
  %identity_28: int64[0, 3] = identity(%all/nothing) @ "golden_models.py":55
  outputs %softmax, %add, %identity, %identity_1, %identity_2, %identity_3, %identity_4, %identity_5, %identity_6, %identity_7, %identity_8, %identity_9, %identity_10, %identity_11, %identity_12, %identity_13, %identity_14, %identity_15, %identity_16, %identity_17, %identity_18, %identity_19, %identity_20, %identity_21, %identity_22, %identity_23, %identity_24, %identity_25, %identity_26, %identity_27, %identity_28
}
