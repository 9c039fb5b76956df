/* SPDX-License-Identifier: MIT */
/* resolv_conf.h - what c-ares 1.18 does not read of resolv.conf(5): `options timeout:n attempts:n`.
 *
 * Called by dns. */
#ifndef MOONPARK_RESOLV_CONF_H
#define MOONPARK_RESOLV_CONF_H

#include "base/base.h"

/* 0: not said. */
struct resolv_conf {
    int timeout;  /* seconds until the next server is asked: 1 to 30 */
    int attempts; /* rounds through the servers: 1 to 5 */
};

/* Adds what the text of a resolv.conf says, which may be cut off: the last word counts. */
void resolv_conf_text(struct resolv_conf *c, const char *text, size_t n);

/* The same of the words alone, as the environment variable RES_OPTIONS has them. */
void resolv_conf_words(struct resolv_conf *c, const char *words, size_t n);

/* The system's: /etc/resolv.conf, then RES_OPTIONS. A file that cannot be read says nothing; -EMFILE, -ENOMEM, ...:
 * this machine could not open it. */
int resolv_conf_read(struct resolv_conf *c);

extern const char resolv_conf_path[];

#endif
