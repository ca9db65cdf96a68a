/* For the examples only: each says what must have happened, and fails if it did not. */
#ifndef SHMQ_EXAMPLES_EXPECT_H
#define SHMQ_EXAMPLES_EXPECT_H

#include <stdio.h>
#include <stdlib.h>

#include <shmq/shmq.h>

static inline void expect(int happened, const char* what) {
    printf("%s %s\n", happened ? "ok   " : "NOT SO", what);
    if (!happened) exit(1);
}

/* Calls that have to succeed for the example to go on. */
static inline void must(shmq_code code) {
    if (code == SHMQ_OK) return;
    fprintf(stderr, "%s\n", shmq_error_message());
    exit(1);
}

#endif
