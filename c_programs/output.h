/* Standard output: written when there is nothing more to do, not line by line, unless it is a terminal. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>

/* Takes the places of standard descriptors that are closed, so that no socket or file gets their numbers: reading and
 * writing there fails with EBADF, as it should. And a pipe that nobody reads ends no program by a signal, but as an
 * error, so that it can say good-bye to the server. The first call of each main(). */
void output_prepare(void);

/* Whether what is printed waits for output_flush(). */
bool output_is_batched(void);

/* False if something could not be written; errno says why. */
bool output_flush(void);

/* After a failure of output_flush() with EPIPE: ends the program as the signal would have, for the shell to see. The last
 * call of main(). */
void output_end_of_pipe(void);

/* For a program that has nothing to say to a server any more: true when everything was written. Otherwise says why not, or
 * ends the program by output_end_of_pipe(). */
bool output_end(const char *program);

#endif
