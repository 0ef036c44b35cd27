package main

import (
	"strconv"
	"unicode"
)

func init() {
	operations["quote"] = func(args []string) any {
		unquoted, err := strconv.Unquote(args[0])
		return []any{strconv.Quote(args[0]), either(unquoted, err)}
	}
	operations["unicode"] = func([]string) any {
		return object{
			"version": unicode.Version, "letter": ranges(unicode.IsLetter), "printable": ranges(unicode.IsPrint),
			"space": ranges(unicode.IsSpace),
		}
	}
	operations["quoteRune"] = func(args []string) any {
		code, err := strconv.Atoi(args[0])
		if err != nil {
			fatal(err)
		}
		return strconv.QuoteRune(rune(code))
	}
}

// ranges lists the first and last of each run of code points with a property.
func ranges(has func(rune) bool) [][2]rune {
	var list [][2]rune
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !has(r) {
			continue
		}
		if last := len(list) - 1; last >= 0 && list[last][1] == r-1 {
			list[last][1] = r
		} else {
			list = append(list, [2]rune{r, r})
		}
	}
	return list
}
