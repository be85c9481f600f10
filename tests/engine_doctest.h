// doctest for tests that include the engine's headers, whose CHECK (core/error.h) would be in its way. After them.
#pragma once
#include "core/error.h"
#undef CHECK
#include <doctest/doctest.h>
