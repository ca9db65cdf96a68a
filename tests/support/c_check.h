/* Checks for tests in C: each failure is printed with its place, and ends the test. */
#ifndef SHMQ_TESTS_SUPPORT_C_CHECK_H
#define SHMQ_TESTS_SUPPORT_C_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/shmq.h>

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, \
                    #condition, shmq_error_message());                                  \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

#define CHECK_CODE(wanted, call)                                                            \
    do {                                                                                    \
        const shmq_code code_ = (call);                                                     \
        if (code_ != (wanted)) {                                                            \
            fprintf(stderr, "%s:%d: %s gives %s, not %s (%s)\n", __FILE__, __LINE__, #call, \
                    shmq_code_name(code_), shmq_code_name(wanted), shmq_error_message());   \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

#define CHECK_OK(call) CHECK_CODE(SHMQ_OK, call)
#define CHECK_TEXT(wanted, text) CHECK(strcmp((wanted), (text)) == 0)

#endif
