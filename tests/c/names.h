/* A name service that can be made to hang: every name that ends in "hangs.invalid" is answered (with: no such name) when the test
 * says so; "here.invalid" is this host. */
#ifndef TESTS_C_NAMES_H
#define TESTS_C_NAMES_H

#define NAME_THAT_HANGS "hangs.invalid"
#define NAME_OF_THIS_HOST "here.invalid"

/* Waits until this many questions for it were asked since the program began. */
void names_wait_asked(int n);
/* Answers all questions for it, from now on at once; names_hold() undoes that. */
void names_release(void);
void names_hold(void);

#endif
