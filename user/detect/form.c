/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "detect/detect.h"

#include <math.h>

const struct vs_form vs_forms[VS_SERIES__N] = {
#define X(id, label, u, s, f, down, strict, window, count)                                         \
	[VS_SERIES_##id] = {.name = label,                                                         \
			    .unit = u,                                                             \
			    .scale = s,                                                            \
			    .floor = f,                                                            \
			    .falls = down,                                                         \
			    .strictness = strict,                                                  \
			    .window_s = window,                                                    \
			    .least = count},
	VS_SERIES_KINDS(X)
#undef X
};

double vs_form_compared(const struct vs_form *form, double value)
{
	return form->scale > 0 ? log2(1 + value / form->scale) : value;
}

double vs_form_value(const struct vs_form *form, double compared)
{
	return form->scale > 0 ? form->scale * (exp2(compared) - 1) : compared;
}
