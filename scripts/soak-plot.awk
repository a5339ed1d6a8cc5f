# Draws what scripts/soak.sh measured, as SVG:  awk -f scripts/soak-plot.awk soak.csv >soak.svg
#
# One panel below the other, all over the same time. Counters are drawn as what they gained a second.
BEGIN {
  FS = ","
  left = 76; width = 760; height = 92; gap = 40; top = 30
  panel("memory, MiB", "rss_kib heap_mapped_kib heap_kib", "resident,heap,heap in use", 1 / 1024, 0)
  panel("file descriptors", "fds", "", 1, 0)
  panel("threads", "threads", "", 1, 0)
  panel("processor, % of one", "cpu_ms", "", 1 / 10, 1)
  panel("messages a second", "received accepted", "received,sent", 1, 1)
  panel("links lost a second", "links_lost", "", 1, 1)
  split("#1f5fa8 #d9731a #3a9a4c", colours, " ")
}

function panel(title, columns, names, scale, is_rate) {
  panels++
  titles[panels] = title; series[panels] = columns; legend[panels] = names
  scales[panels] = scale; rate[panels] = is_rate
}

NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
{ n++; for (i = 1; i <= NF; i++) value[n, i] = $i }

# What is drawn at a point: of a counter its gain since the point before.
function at(p, c, k, wanted, since) {
  if (!rate[p]) return value[k, c] * scales[p]
  since = k - step < 1 ? 1 : k - step
  if (value[k, 1] == value[since, 1]) return 0
  return (value[k, c] - value[since, c]) / (value[k, 1] - value[since, 1]) * scales[p]
}

# The next of 1, 2, 5, 10, 20 ...
function round_up(x, unit) {
  unit = 1
  while (unit < x) unit *= 10
  while (unit / 10 >= x && unit > 1) unit /= 10
  if (unit >= 10 && unit / 5 >= x) return unit / 5
  return unit >= 10 && unit / 2 >= x ? unit / 2 : unit
}

function x_of(k) { return left + width * (value[k, 1] - value[1, 1]) / span }

END {
  if (n < 2) { print "soak-plot: fewer than two samples" > "/dev/stderr"; exit 1 }
  span = value[n, 1] - value[1, 1]
  # As many points as can be told apart.
  step = int(n / 400) + 1
  total = top + panels * (height + gap) + 6
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", left + width + 20, total
  print "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
  for (p = 1; p <= panels; p++) {
    y = top + (p - 1) * (height + gap)
    count = split(series[p], names, " ")
    split(legend[p], labels, ",")
    most = 0
    for (s = 1; s <= count; s++)
      for (k = 1 + step; k <= n; k += step) { v = at(p, column[names[s]], k); if (v > most) most = v }
    most = round_up(most)
    printf "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>\n", left, y - 8, titles[p]
    for (i = 0; i <= 2; i++) {
      line = y + height - height * i / 2
      printf "<path d=\"M%d %.1fh%d\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", left, line, width, left - 6, line + 4, most * i / 2
    }
    for (s = 1; s <= count; s++) {
      points = ""
      for (k = 1 + step; k <= n; k += step)
        points = points sprintf("%.1f,%.1f ", x_of(k), y + height - height * at(p, column[names[s]], k) / most)
      printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.3\"/>\n", points, colours[s]
      if (labels[s] != "" && count > 1)
        printf "<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>\n", left + 190 + 110 * s, y - 8, colours[s], labels[s]
    }
  }
  for (i = 0; i <= 4; i++)
    printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g min</text>\n", left + width * i / 4, total - 20, int(span * i / 4 / 6 + 0.5) / 10
  print "</svg>"
}
