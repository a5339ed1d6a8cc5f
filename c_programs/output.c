#define _POSIX_C_SOURCE 200809L
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool batched;

void output_prepare(void) {
  static char buffer[1 << 16]; /* of our own: glibc makes one of 4096 bytes, whatever size it is asked for */
  int fd;
  for (fd = 0; fd <= 2; fd++) {
    /* The lowest free number is this one. What cannot be read or written here must not seem to work. */
    if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd) abort();
  }
  signal(SIGPIPE, SIG_IGN);
  batched = !isatty(STDOUT_FILENO);
  if (batched) setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
}

bool output_is_batched(void) {
  return batched;
}

bool output_flush(void) {
  static int error; /* of the first failure: a later call need not fail again */
  if (error == 0 && (fflush(stdout) != 0 || ferror(stdout))) error = errno;
  errno = error;
  return error == 0;
}

void output_end_of_pipe(void) {
  signal(SIGPIPE, SIG_DFL);
  raise(SIGPIPE);
}

bool output_end(const char *program) {
  if (output_flush()) return true;
  if (errno == EPIPE) output_end_of_pipe();
  fprintf(stderr, "%s: cannot write the output: %s\n", program, strerror(errno));
  return false;
}
