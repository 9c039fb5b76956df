/* SPDX-License-Identifier: MIT */
/* decimal.c - whole numbers digit by digit; fractions by one exact product, rounded as printf rounds them. What has an
 * exponent is left to printf: it is rare, and correct digits of it need numbers of many words. */
#include "base/decimal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 14, FRACTION_BITS = 52, EXPONENT_BIAS = 1023 };

#define FIXED_MIN 1e-4            /* smaller ones have an exponent */
#define FIXED_END 99999999999999.5 /* from here on 14 digits round to 1e+14 */

/* 10^0 ... 10^17 are exact; with one digit before the point more or less they scale any fixed number to 14 digits. */
static const uint64_t powers[] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
    1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
};

static size_t put_whole(char *to, uint64_t n)
{
    size_t digits = 1;
    while (digits < ARRAY_LEN(powers) && n >= powers[digits])
        digits++;
    for (size_t i = digits; i > 0; n /= 10)
        to[--i] = (char)('0' + n % 10);
    return digits;
}

/* Where the point stands in x, which is fixed: 10^(point - 1) <= x < 10^point. */
static int point_of(double x)
{
    static const double below[] = {1e-3, 1e-2, 1e-1}; /* each is the least double that is not less than its power */
    int point = -3;
    while (point < 0 && x >= below[point + 3])
        point++;
    while (point >= 0 && point < DIGITS && x >= (double)powers[point])
        point++;
    return point;
}

/* x * 10^scale as a whole number: exact, then rounded once, to even if it lies halfway. */
static uint64_t scaled(double x, int scale)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t mantissa = (bits & ((UINT64_C(1) << FRACTION_BITS) - 1)) | UINT64_C(1) << FRACTION_BITS;
    int shift = EXPONENT_BIAS + FRACTION_BITS - (int)(bits >> FRACTION_BITS); /* x is mantissa / 2^shift */
    must(shift > 0 && shift < 128);
    unsigned __int128 product = (unsigned __int128)mantissa * powers[scale];
    unsigned __int128 half = (unsigned __int128)1 << (shift - 1);
    unsigned __int128 rest = product & (2 * half - 1);
    uint64_t whole = (uint64_t)(product >> shift);
    return whole + (rest > half || (rest == half && (whole & 1)));
}

/* Takes the zeros off the end of n, which has `digits`. Returns how many digits it has then. */
static int strip_zeros(uint64_t *n, int digits)
{
    for (int zeros = 8; zeros; zeros /= 2) {
        if (*n % powers[zeros] != 0)
            continue;
        *n /= powers[zeros];
        digits -= zeros;
    }
    return digits;
}

/* 0 < x < FIXED_END; either less than 1 or no whole number */
static size_t put_fraction(char *to, double x)
{
    int point = point_of(x);
    uint64_t n = scaled(x, DIGITS - point);
    if (n == powers[DIGITS]) { /* rounded up to the next power of ten */
        n = powers[DIGITS - 1];
        point++;
    }
    int digits = strip_zeros(&n, DIGITS);
    if (point >= digits)
        return put_whole(to, n * powers[point - digits]);
    if (point > 0) {
        size_t whole = put_whole(to, n / powers[digits - point]);
        put_whole(to + whole, n % powers[digits - point] + powers[digits - point]); /* the 1 keeps zeros, */
        to[whole] = '.';                                                          /* and becomes the point */
        return (size_t)digits + 1;
    }
    memcpy(to, "0.000", 5);
    return (size_t)(2 - point) + put_whole(to + 2 - point, n);
}

/* By printf, which writes the locale's point: one or more bytes that nothing else in a number has. */
static size_t put_exponent(char *to, double x)
{
    char text[2 * DECIMAL_MAX];
    int n = snprintf(text, sizeof text, "%.*g", DIGITS, x);
    must(n > 0 && (size_t)n < sizeof text);
    size_t digits = strspn(text, "0123456789"), rest = strcspn(text + digits, "0123456789e") + digits;
    memcpy(to, text, digits);
    if (rest > digits)
        to[digits++] = '.';
    memcpy(to + digits, text + rest, (size_t)n - rest);
    return digits + (size_t)n - rest;
}

size_t decimal_write(char *to, double x)
{
    must(isfinite(x));
    size_t sign = signbit(x) != 0;
    *to = '-';
    x = fabs(x);
    if (x < FIXED_END && (double)(uint64_t)x == x)
        return sign + put_whole(to + sign, (uint64_t)x);
    if (x >= FIXED_MIN && x < FIXED_END)
        return sign + put_fraction(to + sign, x);
    return sign + put_exponent(to + sign, x);
}
