#!/bin/sh
# Forecasts each number of a series from those before it, by exponential smoothing with a trend, and
# reports the mean squared error:  sh smooth.sh ALPHA BETA < visitors.txt
LC_ALL=C awk -v alpha="$1" -v beta="$2" '
    NR == 1 { level = $1; next }
    {
        error = $1 - (level + trend)
        sum += error * error
        before = level
        level = level + trend + alpha * error
        trend = trend + beta * (level - before - trend)
    }
    END { printf "{\"metric\": \"mse\", \"value\": %.6f}\n", sum / (NR - 1) }
'
