module('helper', package.seeall)

local only = require('only')

count = 0

function next()
	count = count + 1
	return count
end

function complain(cid)
	only.log('E', "complaint number %d of %s", next(), cid)
	only.log('D', [[a line without a format]])
end
