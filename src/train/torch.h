// LibTorch for this room, included through this one file (it is the precompiled header).
#pragma once

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
#include <ATen/Parallel.h>
#include <torch/nn/functional.h>
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
