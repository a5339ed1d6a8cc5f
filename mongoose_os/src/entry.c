/* main() of programs that have none: the linker takes this file out of the library only for them. */

#include <mgos_app.h>

int main(int argc, char **argv) {
  return mgos_main(argc, argv);
}
