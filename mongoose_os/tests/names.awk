# From the tables of docs/mongoose-os-api.md: a source for one header, with -v HEADER=..., that uses all its names; or with
# -v HEADER= one whose main() calls nothing but refers to all functions, so that the linker finds them.
function bare(cell) { gsub(/^[ \t`]+|[ \t`]+$/, "", cell); return cell }
BEGIN {
  FS = "|"
  if (HEADER != "") print "#include <" HEADER ">"
}
/^\| `/ && NF == 6 {
  name = bare($2); kind = bare($3); header = bare($4)
  if (HEADER != "" && header != HEADER) next
  n++
  if (HEADER == "" && !(header in included)) { included[header] = 1; print "#include <" header ">" }
  if (kind == "macro") macros = macros "#ifndef " name "\n#error \"" name " is not there\"\n#endif\n"
  else if (kind == "type") types = types name " *use_" n "(void);\n"
  else if (kind == "value") uses = uses "  (void) " name ";\n"
  else if (kind == "function") uses = uses "  refer((void (*)(void)) " name ");\n"
  else types = types "#error \"" name ": what is a " kind "?\"\n"
}
END {
  print macros types "static void (*volatile seen)(void);\nstatic void refer(void (*f)(void)) {\n  seen = f;\n}"
  print "int main(void) {\n" uses "  refer((void (*)(void)) main);\n  return seen == 0;\n}"
}
