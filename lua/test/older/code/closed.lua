module('closed', package.seeall)

function handle()
	error("it is closed")
end
